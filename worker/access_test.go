package worker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// entry is a record of the access log.
type entry struct {
	Time       time.Time `json:"time"`
	Listener   string    `json:"listener"`
	Remote     string    `json:"remote"`
	Slot       int       `json:"slot"`
	PID        int       `json:"pid"`
	Generation int       `json:"generation"`
	Duration   float64   `json:"duration_s"`
	In         uint64    `json:"bytes_in"`
	Out        uint64    `json:"bytes_out"`
	Requests   uint64    `json:"requests"`
	Outcome    string    `json:"outcome"`
	Error      string    `json:"error"`
}

// loggedRig is a worker that accepts and has an access log in a file.
type loggedRig struct {
	*rig
	path string
}

func logging(t *testing.T, cfg Config, o Options, addresses ...string) *loggedRig {
	t.Helper()
	cfg.AccessLog = true
	r := &loggedRig{start(t, cfg, o, addresses...), filepath.Join(t.TempDir(), "access")}
	// A worker that ends with connections in hand leaves its file open for them.
	t.Cleanup(func() { r.hasActive(0) })
	r.logTo(r.path)
	r.send(&ipc.Resume{})
	r.hasState(ipc.Accepting)
	return r
}

// logTo hands the worker a file, as the master does.
func (r *loggedRig) logTo(path string) {
	r.t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	r.send(&ipc.AccessLog{}, int(f.Fd()))
}

// entries waits until the file has n records, and fails the test if it has
// anything else.
func (r *loggedRig) entries(n int) []entry {
	r.t.Helper()
	var text string
	eventually(r.t, "the access log's records", func() bool {
		data, err := os.ReadFile(r.path)
		text = string(data)
		return err == nil && strings.Count(text, "\n") >= n
	})
	var all []entry
	for line := range strings.Lines(text) {
		var e entry
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&e); err != nil {
			r.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	if len(all) != n {
		r.t.Fatalf("%d records, want %d:\n%s", len(all), n, text)
	}
	return all
}

func TestAConnectionIsOneRecord(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", filepath.Join(t.TempDir(), "s")} {
		r := logging(t, Config{}, Options{Handler: echo}, address)
		begin := time.Now()
		c := r.dial(0)
		ask(t, c, "hello", "hello")
		_ = c.Close()
		e := r.entries(1)[0]
		if remote := c.LocalAddr().String(); e.Remote != remote && remote != "@" {
			t.Errorf("remote %q, want %q", e.Remote, remote)
		}
		if age := time.Since(begin); e.Duration < 0 || e.Duration > age.Seconds() || e.Time.Before(begin) || e.Time.After(begin.Add(age)) {
			t.Errorf("at %v for %v s, which is not within %v since %v", e.Time, e.Duration, age, begin)
		}
		want := entry{
			Time: e.Time, Duration: e.Duration, Remote: e.Remote, Listener: "l0",
			Slot: 1, PID: os.Getpid(), Generation: 3, In: 5, Out: 5, Outcome: "ok",
		}
		if e != want {
			t.Errorf("record %+v, want %+v", e, want)
		}
	}
}

// reset closes c so that the other side meets a reset.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func TestTheOutcomeTellsHowAConnectionEnded(t *testing.T) {
	handle := func(h HandlerFunc) Options { return Options{Handler: h} }
	wait := handle(func(_ context.Context, c *Conn) error { _, err := c.Read(make([]byte, 1)); return err })
	deaf := handle(func(_ context.Context, c *Conn) error {
		for {
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, net.ErrClosed) {
				return err
			}
		}
	})
	plain := newWeb(http.NotFoundHandler())
	drain := func(r *loggedRig, _ net.Conn) { r.send(&ipc.Drain{TimeoutMS: 1}) }
	nothing := func(*loggedRig, net.Conn) {}
	hangUp := func(_ *loggedRig, c net.Conn) { reset(c) }
	for _, test := range []struct {
		name    string
		cfg     Config
		o       Options
		does    func(*loggedRig, net.Conn)
		outcome string
		says    string
	}{
		{"eof", Config{}, wait, func(_ *loggedRig, c net.Conn) { _ = c.Close() }, "ok", ""},
		{"error", Config{}, handle(func(context.Context, *Conn) error { return errors.New("no \"luck\"\n") }), nothing, "failed", "no \"luck\"\n"},
		{"panic", Config{}, handle(func(context.Context, *Conn) error { panic("oh") }), nothing, "panic", "panic: oh"},
		{"error that panics", Config{}, handle(func(context.Context, *Conn) error { return new(badError) }), nothing, "failed", "panic: "},
		{"read timeout", Config{ReadTimeout: time.Millisecond}, wait, nothing, "timeout", "timeout"},
		{"idle timeout", Config{IdleTimeout: time.Millisecond}, wait, nothing, "timeout", "timeout"},
		{"handler timeout", Config{HandlerTimeout: time.Millisecond}, deaf, nothing, "timeout", "closed"},
		{"refusal", Config{}, Options{Handler: echo, Hooks: Hooks{VerifyRequest: func(*Conn) bool { return false }}}, nothing, "rejected", ""},
		{"drain", Config{}, wait, drain, "cut", "closed"},
		{"reset", Config{}, wait, hangUp, "reset", "reset"},
		{"service", Config{}, Options{Service: newWeb(http.NotFoundHandler())}, func(_ *loggedRig, c net.Conn) { _ = c.Close() }, "ok", ""},
		{"service's drain", Config{DrainIdle: time.Hour}, Options{Service: plain}, func(r *loggedRig, _ net.Conn) {
			r.send(&ipc.Drain{TimeoutMS: 1})
		}, "cut", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.o.Service == nil {
				test.o.Hooks.HandleError = func(context.Context, *Conn, error) {} // or the log is full of them
			}
			r := logging(t, test.cfg, test.o)
			c := r.dial(0)
			eventually(t, "the connection to be taken", func() bool { return r.slot.Accepted.Load() == 1 })
			test.does(r, c)
			e := r.entries(1)[0]
			if e.Outcome != test.outcome || !strings.Contains(e.Error, test.says) || (test.says == "") != (e.Error == "") {
				t.Errorf("outcome %q, error %q; want %q, %q", e.Outcome, e.Error, test.outcome, test.says)
			}
		})
	}
}

// badError panics when it is asked what it is.
type badError struct{ text *string }

func (e *badError) Error() string { return *e.text }

func TestASampleLeavesNoFailureOut(t *testing.T) {
	r := logging(t, Config{AccessSample: 1e-12}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err != nil || string(b) == "fail" {
			return errors.New("as told")
		}
		return nil
	})})
	for i := range 20 {
		word := "well"
		if i%4 == 0 {
			word = "fail"
		}
		c := r.dial(0)
		if _, err := c.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
		expectEOF(t, c)
	}
	for _, e := range r.entries(5) {
		if e.Outcome != "failed" {
			t.Errorf("recorded: %+v", e)
		}
	}
}

func TestAReopenedAccessLogReplacesTheOldOne(t *testing.T) {
	r := logging(t, Config{}, Options{Handler: echo})
	talk := func() {
		c := r.dial(0)
		ask(t, c, "x", "x")
		_ = c.Close()
	}
	talk()
	r.entries(1)
	old := r.path
	r.path += ".new"
	r.logTo(r.path)
	eventually(t, "the first record in the new file", func() bool {
		talk()
		info, err := os.Stat(r.path)
		return err == nil && info.Size() > 0
	})
	before, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	talk()
	r.hasActive(0)
	if after, err := os.ReadFile(old); err != nil || string(after) != string(before) {
		t.Errorf("the old file has grown: %s, %v", after, err)
	}
}

func TestARecordThatCannotBeWrittenIsLostAndLogged(t *testing.T) {
	r := logging(t, Config{}, Options{Handler: echo})
	talk := func() {
		c := r.dial(0)
		ask(t, c, "x", "x")
		_ = c.Close()
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	r.send(&ipc.AccessLog{}, int(full.Fd()))
	eventually(t, "the log to say that nothing is written", func() bool {
		talk()
		return r.logs.FilterMessage("access log not written").Len() > 0
	})
	for range 20 {
		talk()
	}
	r.hasActive(0)
	if n := r.logs.FilterMessage("access log not written").Len(); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	r.logTo(r.path)
	eventually(t, "the log to say that it is over", func() bool {
		talk()
		return r.logs.FilterMessage("access log written again").Len() > 0
	})
	if lost, _ := r.logs.FilterMessage("access log written again").All()[0].ContextMap()["lost"].(uint64); lost < 20 {
		t.Errorf("%d lost, want 20 at least", lost)
	}
}

// A full pipe, as the master opens it, and a blocking socket.
func TestASlowReaderOfTheAccessLogDelaysNoConnection(t *testing.T) {
	for name, open := range map[string]func() (*[2]int, error){
		"pipe": func() (*[2]int, error) {
			var p [2]int
			return &p, unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC)
		},
		"socket": func() (*[2]int, error) {
			p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			p[0], p[1] = p[1], p[0]
			return &p, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(p[0])
			defer unix.Close(p[1])
			r := logging(t, Config{}, Options{Handler: echo})
			r.send(&ipc.AccessLog{}, p[1])
			for range 3000 {
				c := r.dial(0)
				ask(t, c, "x", "x")
				reset(c)
				if r.logs.FilterMessage("access log not written").Len() > 0 {
					break
				}
			}
			r.logged("access log not written")
			r.hasActive(0)
		})
	}
}

func TestWithoutAnAccessLogNothingIsWritten(t *testing.T) {
	r := start(t, Config{}, Options{Handler: echo})
	path := filepath.Join(t.TempDir(), "access")
	(&loggedRig{r, path}).logTo(path) // which the configuration does not ask for
	r.send(&ipc.Resume{})
	ask(t, r.dial(0), "x", "x")
	r.send(&ipc.Drain{TimeoutMS: 1})
	if err := r.wait(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || len(text) != 0 {
		t.Errorf("%q, %v", text, err)
	}
}

func TestTheCommonFormatNeedsHTTP(t *testing.T) {
	r := launch(t, Config{AccessLog: true, AccessFormat: AccessCommon}, Options{Handler: echo})
	exit := new(ExitError)
	if err := r.wait(); !errors.As(err, &exit) || exit.Code != ExitConfig || !strings.Contains(err.Error(), "access_format: common") {
		t.Errorf("ended with %v, want status 78 and the key's name", err)
	}
}

func TestTheDocumentTellsOfEveryFieldAndOutcome(t *testing.T) {
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "\n## Access log\n")
	_, sample, found := strings.Cut(text, "\n    {")
	sample, _, _ = strings.Cut("{"+sample, "\n")
	decoder := json.NewDecoder(strings.NewReader(sample))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(new(entry)); err != nil || !found {
		t.Errorf("the document shows %s: %v", sample, err)
	}
	fields := reflect.TypeFor[entry]()
	for i := range fields.NumField() {
		if name := fields.Field(i).Tag.Get("json"); !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the document does not explain %s", name)
		}
	}
	for _, outcome := range []string{
		outcomeOK, outcomeFailed, outcomePanic, outcomeTimeout, outcomeRejected, outcomeCut, outcomeReset,
	} {
		if !strings.Contains(text, "\n| `"+outcome+"` |") {
			t.Errorf("the document does not explain the outcome %s", outcome)
		}
	}
}
