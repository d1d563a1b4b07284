package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
)

// journal is the socket of a fake journal and a file in place of its stream.
type journal struct {
	*net.UnixConn
	t      *testing.T
	stream *os.File
	text   func() string // contents of the stream
}

func newJournal(t *testing.T) *journal {
	t.Helper()
	path := filepath.Join(testdir.Short(t), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	was := journalSocket
	journalSocket = path
	t.Cleanup(func() { journalSocket = was })
	j := &journal{UnixConn: conn, t: t}
	j.stream, j.text = file(t)
	var stat unix.Stat_t
	if err := unix.Fstat(int(j.stream.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	return j
}

// open returns a logger that writes to the journal.
func (j *journal) open() *zap.Logger {
	j.t.Helper()
	log, _ := open(j.t, Auto, "debug", j.stream)
	return log
}

// receive returns the fields of the next entry.
func (j *journal) receive() map[string]string {
	j.t.Helper()
	if err := j.SetReadDeadline(time.Now().Add(waiting)); err != nil {
		j.t.Fatal(err)
	}
	data, oob := make([]byte, 1<<20), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := j.ReadMsgUnix(data, oob)
	if err != nil {
		j.t.Fatal(err)
	}
	if oobn > 0 {
		return j.parse(j.sealed(oob[:oobn]))
	}
	return j.parse(string(data[:n]))
}

// sealed reads an entry that was sent as a file.
func (j *journal) sealed(oob []byte) string {
	j.t.Helper()
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		j.t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		j.t.Fatalf("descriptors %v, %v", fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL; err != nil || seals != want {
		j.t.Errorf("seals %#x, %v, want %#x", seals, err, want)
	}
	info, err := f.Stat()
	if err != nil {
		j.t.Fatal(err)
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		j.t.Fatal(err)
	}
	return string(data)
}

func (j *journal) parse(data string) map[string]string {
	j.t.Helper()
	fields := map[string]string{}
	for data != "" {
		line, rest, found := strings.Cut(data, "\n")
		name, value, plain := strings.Cut(line, "=")
		if !plain {
			size := binary.LittleEndian.Uint64([]byte(rest[:8]))
			value, rest = rest[8:8+size], rest[8+size+1:]
		}
		if _, twice := fields[name]; twice || !found {
			j.t.Errorf("field %q: twice %t, ended %t", name, twice, found)
		}
		fields[name], data = value, rest
	}
	return fields
}

func TestTheJournalGetsTextForPeopleAndFieldsToSearch(t *testing.T) {
	j := newJournal(t)
	log := j.open().Named("control").With(zap.String("role", "master"), zap.Duration("age", 90*time.Second))
	log.Warn("worker exited", zap.Int("slot", 2), zap.Duration("duration_s", 1500*time.Millisecond), zap.Error(errors.New("a=b")),
		zap.String("evidence", "panic: x\n\tmain.go:7\n"), zap.Object("listener", pairField{"main"}))
	got := j.receive()
	want := map[string]string{
		"MESSAGE": "control: worker exited  role=master age=1m30s slot=2 duration_s=1.5s error=\"a=b\" listener.age=1s listener.name=main\n" +
			"    evidence:\n    | panic: x\n    |     main.go:7",
		"PRIORITY":              "4",
		"SYSLOG_IDENTIFIER":     filepath.Base(os.Args[0]),
		"PREFORK_MESSAGE":       "worker exited",
		"PREFORK_LOGGER":        "control",
		"PREFORK_ROLE":          "master",
		"PREFORK_AGE_S":         "90",
		"PREFORK_SLOT":          "2",
		"PREFORK_DURATION_S":    "1.5",
		"PREFORK_ERROR":         "a=b",
		"PREFORK_EVIDENCE":      "panic: x\n\tmain.go:7\n",
		"PREFORK_LISTENER_NAME": "main",
	}
	want["PREFORK_LISTENER_AGE_S"] = "1"
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("beside what was logged: %q", got)
	}
	if text := j.text(); text != "" {
		t.Errorf("the stream got %q as well", text)
	}
}

func TestFieldNamesAreWhatTheJournalAllows(t *testing.T) {
	j := newJournal(t)
	j.open().Info("m", zap.Int("a.b-ü", 1), zap.Int(strings.Repeat("x", 100), 2), zap.String("x=\ny", "z"))
	got := j.receive()
	for name, want := range map[string]string{
		"PREFORK_A_B__": "1", "PREFORK_" + strings.Repeat("X", 56): "2", "PREFORK_X__Y": "z",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q, in %q", name, got[name], want, got)
		}
	}
}

func TestAnEntryTooLargeForADatagramComesAsAFile(t *testing.T) {
	j := newJournal(t)
	long := strings.Repeat("goroutine 1\n", 1<<16)
	j.open().Error("worker hung", zap.String("evidence", long))
	if got := j.receive(); got["PREFORK_EVIDENCE"] != long || got["PRIORITY"] != "3" {
		t.Errorf("evidence of %d bytes, want %d", len(got["PREFORK_EVIDENCE"]), len(long))
	}
}

func TestALogFileInPlaceOfTheStreamGetsPlainLines(t *testing.T) {
	j := newJournal(t)
	log := j.open()
	f, text := file(t)
	if err := unix.Dup3(int(f.Fd()), int(j.stream.Fd()), unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	log.Info("m")
	if got := text(); !strings.HasPrefix(got, `{"level":"info"`) {
		t.Errorf("the file got %q", got)
	}
}

func TestAJournalWithoutASocketGetsLinesOnItsStream(t *testing.T) {
	j := newJournal(t)
	log := j.open()
	_ = j.Close()
	log.Warn("m")
	if got := j.text(); !strings.HasPrefix(got, `<4>{"level":"warn"`) {
		t.Errorf("the stream got %q", got)
	}
}

func TestAJournalThatDoesNotReadDoesNotStopTheServer(t *testing.T) {
	j := newJournal(t)
	log := j.open()
	core, ok := log.Core().(*core)
	if !ok {
		t.Fatalf("core %T", log.Core())
	}
	within(t, "the socket to be full", func() {
		for core.out.lost.Load() == 0 {
			log.Info("m", zap.String("pad", strings.Repeat("x", 1000)))
		}
	})
	log.Info("one more")
	if lost := core.out.lost.Load(); lost != 2 {
		t.Errorf("%d lines lost, want 2", lost)
	}
	for core.out.lost.Load() > 0 {
		j.receive()
		j.receive()
		log.Info("again")
	}
	for range 1000 {
		if got := j.receive(); got["PREFORK_MESSAGE"] == "log lines lost" {
			if got["PRIORITY"] != "4" || got["PREFORK_COUNT"] == "" {
				t.Errorf("got %q", got)
			}
			return
		}
	}
	t.Error("the lost lines were not reported")
}

// The journal reads one datagram after the other and looks at the sender of
// each.
func TestSyncReturnsOnceTheJournalIsDoneWithAllLines(t *testing.T) {
	j := newJournal(t)
	log := j.open()
	log.Info("m")
	took := make(chan time.Duration, 1)
	sync := func() {
		begun := time.Now()
		_ = log.Sync()
		took <- time.Since(begun)
	}
	received := func(message string) {
		t.Helper()
		if got := j.receive(); got["PREFORK_MESSAGE"] != message {
			t.Errorf("got %q, want %q", got, message)
		}
		if got := j.receive(); len(got) != 0 {
			t.Errorf("got %q, want an empty datagram", got)
		}
	}
	within(t, "Sync without a reader", sync)
	if waited := <-took; waited < patience {
		t.Errorf("without a reader Sync gave up after %v, want %v", waited, patience)
	}
	received("m")
	log.Info("n")
	go sync()
	received("n")
	within(t, "Sync with a reader", func() { <-took })
}

func TestClonesOfANativeEncoderDoNotShareFields(t *testing.T) {
	parent := &console{native: "x"}
	parent.pairs = make([]byte, 0, 1000)
	parent.addAll([]zap.Field{zap.Int("a", 1)})
	one := parent.clone([]zap.Field{zap.Int("b", 2)})
	parent.clone([]zap.Field{zap.Int("c", 3)})
	if got := string(one.pairs); got != "PREFORK_A=1\nPREFORK_B=2\n" {
		t.Errorf("got %q", got)
	}
}
