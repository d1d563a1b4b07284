package notifytest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
	"prefork/systemd"
)

const patience = 10 * time.Second

// sender is a raw, blocking socket to r. It can send what a Notifier refuses.
func sender(t *testing.T, r *Recorder) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: r.Address()}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func send(t *testing.T, socket int, text string, fds ...int) {
	t.Helper()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(socket, []byte(text), rights, nil, 0); err != nil {
		t.Fatalf("send %.40q: %v", text, err)
	}
}

func TestMalformedMessagesAreRecordedAsSuch(t *testing.T) {
	r := New(t)
	conn := sender(t, r)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	fd := int(null.Fd())
	tests := []struct {
		text string
		fds  []int
		says string
	}{
		{"", nil, "no fields"},
		{"READY", nil, "no '='"},
		{"READY=1\nREADY=1", nil, "twice"},
		{"X=" + strings.Repeat("x", systemd.MaxMessage), nil, "longer"},
		{"BARRIER=1", nil, "0 descriptors"},
		{"BARRIER=1", []int{fd, fd}, "2 descriptors"},
		{"BARRIER=1\nREADY=1", []int{fd}, "1 more fields"},
		{"FDSTORE=1\nFDNAME=a", nil, "without a descriptor"},
		{"FDSTORE=1\nFDNAME=a:b", []int{fd}, "no descriptor name"},
		{"FDSTOREREMOVE=1", nil, "without FDNAME"},
		{"READY=1", []int{fd}, "nothing in the message"},
	}
	for _, test := range tests {
		send(t, conn, test.text, test.fds...)
	}
	send(t, conn, "READY=1\n")
	r.Wait("READY", "1", patience)
	bad := r.Malformed()
	if len(bad) != len(tests) {
		t.Fatalf("%d messages were found malformed, want %d: %v", len(bad), len(tests), bad)
	}
	for i, test := range tests {
		if m := bad[i]; !strings.Contains(m.Err.Error(), test.says) || m.Fields != nil || m.Files != len(test.fds) {
			t.Errorf("%q: got %v, want it to say %q", test.text, m, test.says)
		}
	}
	if left := r.Messages(); len(left) != 1 || len(r.Stored()) != 0 {
		t.Errorf("left are %v and stored %v", left, r.Stored())
	}
}

// fakeT is a testing.TB that records failures.
type fakeT struct {
	testing.TB
	cleanups []func()
	said     []string
}

func (f *fakeT) Helper()          {}
func (f *fakeT) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *fakeT) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *fakeT) Fatalf(format string, args ...any) { f.Errorf(format, args...); panic(f) }

func (f *fakeT) end() {
	for _, c := range slices.Backward(f.cleanups) {
		c()
	}
}

func TestAMalformedMessageFailsItsTest(t *testing.T) {
	f := &fakeT{TB: t}
	r := New(f)
	conn := sender(t, r)
	send(t, conn, "READY")
	send(t, conn, "READY=1")
	r.Wait("READY", "1", patience)
	f.end()
	if len(f.said) != 1 || !strings.Contains(f.said[0], `"READY"`) {
		t.Errorf("the test heard %q", f.said)
	}
	if _, err := os.Stat(r.Address()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestAWaitThatFailsShowsTheMessages(t *testing.T) {
	f := &fakeT{TB: t}
	r := New(f)
	defer f.end()
	conn := sender(t, r)
	send(t, conn, "STATUS=booting")
	r.Wait("STATUS", "booting", patience)
	func() {
		defer func() {
			if recover() != f {
				t.Error("the wait did not fail its test")
			}
		}()
		// It was seen already, because a series of waits checks the order.
		r.Wait("STATUS", "booting", time.Millisecond)
	}()
	if got := strings.Join(f.said, "\n"); !strings.Contains(got, "for notification STATUS=booting: none within 1ms") ||
		!strings.Contains(got, `"STATUS=booting" from PID`) {
		t.Errorf("the test heard %q", got)
	}
}

func TestWaitKeepsItsPlaceAfterMalformed(t *testing.T) {
	r := New(t)
	conn := sender(t, r)
	for _, text := range []string{"bad", "X=1", "bad", "X=2", "X=3"} {
		send(t, conn, text)
	}
	r.Wait("X", "2", patience)
	if got := r.Malformed(); len(got) != 2 {
		t.Errorf("malformed: %v", got)
	}
	if m := r.WaitFor("any", patience, func(Message) bool { return true }); !m.Has("X", "3") {
		t.Errorf("after X=2: %v", m)
	}
}

func TestTheStoreIsEmptiedWhenTheTestEnds(t *testing.T) {
	f := &fakeT{TB: t}
	r := New(f)
	conn := sender(t, r)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	send(t, conn, "FDSTORE=1", int(write.Fd()))
	_ = write.Close()
	r.Wait("FDSTORE", "1", patience)
	if got := r.Stored(); len(got) != 1 || got[0].Name != "stored" {
		t.Errorf("the store holds %v", got)
	}
	f.end()
	if n, err := read.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the pipe is still open: read %d, %v", n, err)
	}
	if len(f.said) > 0 {
		t.Errorf("the test heard %q", f.said)
	}
}

func TestTheRealNotifyToolIsUnderstood(t *testing.T) {
	tool := needtool.Need(t, "systemd-notify", "systemd")
	r := New(t)
	cmd := exec.CommandContext(t.Context(), tool, "--ready", "--status=four workers")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+r.Address())
	// The tool waits for a barrier, so its exit shows that barriers are answered.
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := r.Wait("READY", "1", patience)
	if !m.Has("STATUS", "four workers") {
		t.Errorf("got %v", m)
	}
}

func TestAnAddressThatCannotBeBoundIsAnError(t *testing.T) {
	if r, err := listen(filepath.Join(t.TempDir(), "none", "s")); err == nil {
		t.Errorf("got recorder %v", r)
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add([]byte("READY=1"), []byte(nil))
	f.Add([]byte("BARRIER=1"), unix.UnixCredentials(&unix.Ucred{Pid: 1}))
	odd := unix.UnixRights(1)
	odd[0]++ // the length that it claims
	f.Add([]byte("FDSTORE=1"), odd)
	f.Fuzz(func(t *testing.T, data, oob []byte) {
		// parse must not close descriptors that were not received.
		m, fds := parse(data, oob, 0)
		if m.Files != len(fds) || (m.Err == nil) != (m.Fields != nil) {
			t.Fatalf("%v with descriptors %v", m, fds)
		}
	})
}

func TestDecodeTakesOneNewlineAtTheEnd(t *testing.T) {
	fields, err := Decode([]byte("READY=1\nSTATUS=a=b\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []systemd.Field{{Name: "READY", Value: "1"}, {Name: "STATUS", Value: "a=b"}}; !slices.Equal(fields, want) {
		t.Errorf("got %v, want %v", fields, want)
	}
	for _, bad := range []string{"", "\n", "READY=1\n\n", "READY", "=1", "READY=1\n\nSTATUS=", strings.Repeat("x", systemd.MaxMessage+1)} {
		if fields, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%.20q was read as %v", bad, fields)
		}
	}
}

func FuzzDecodedMessagesEncodeToThemselves(f *testing.F) {
	for _, seed := range []string{"READY=1", "READY=1\nSTATUS=a b\n", "A=\nB==", "FDSTORE=1\nFDNAME=a:b", "\n\n", "x\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fields, err := Decode(data)
		if err != nil {
			return
		}
		again, err := systemd.EncodeMessage(fields...)
		if err != nil {
			t.Fatalf("%q was read as %v, which cannot be written: %v", data, fields, err)
		}
		if got, want := string(again), strings.TrimSuffix(string(data), "\n"); got != want {
			t.Fatalf("%q came back as %q", want, got)
		}
	})
}

func FuzzEncodedMessagesDecodeToThemselves(f *testing.F) {
	f.Add("READY", "1", "STATUS", "a=b")
	f.Add("A", "", "B", "\n")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		fields := []systemd.Field{{Name: name1, Value: value1}, {Name: name2, Value: value2}}
		data, err := systemd.EncodeMessage(fields...)
		if err != nil {
			return
		}
		got, err := Decode(data)
		if err != nil || !slices.Equal(got, fields) {
			t.Fatalf("%v went out as %q and came back as %v, %v", fields, data, got, err)
		}
	})
}
