package load

import (
	"maps"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFailuresAreReportedDuringTheRun(t *testing.T) {
	url := plain(t, func(c *net.TCPConn, _ int) { // sends a greeting, then closes
		lines(func(n int, _ string) (string, bool) { return "worker-7\n", n < 2 })(c, 0)
	})
	r, err := Start(t.Context(), Options{URL: url, Connections: 2, Duration: time.Hour, Greeting: "who", Reply: "another\n", Pipeline: 3})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	patience := time.After(10 * time.Second)
	for f := r.Failures(); f.Counts[Wrong] < 2 || f.LostBy["worker-7"] < 2 || len(f.Examples) == 0; f = r.Failures() {
		select {
		case <-tick.C:
		case <-patience:
			t.Fatalf("waited for two wrong answers of worker-7, last saw %+v", f)
		}
	}
	r.Stop()
	got, f, counted := r.Wait(), r.Failures(), uint64(0)
	for _, second := range got.Series {
		counted += second.Errors
	}
	if !maps.Equal(got.Errors, f.Counts) || got.Failed() != counted || len(f.Unreached) != 0 {
		t.Errorf("in the end %v, in all seconds %d, while it ran %+v", got.Errors, counted, f)
	}
}

func TestAServerThatWasReachedOnceIsNotGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	r, err := Start(t.Context(), Options{URL: "tcp://" + l.Addr().String(), Connections: 1, Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	refusals := func(n uint64) {
		for r.Failures().Counts[Refused] < n {
			select {
			case <-tick.C:
			case <-r.Done():
				t.Fatalf("the run has ended: %v", r.Unreached())
			}
		}
	}
	refusals(1)
	if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Accept(); err == nil {
		_ = l.Close()
		_ = c.Close()
	}
	refusals(r.Failures().Counts[Refused] + 2) // so that the run has noticed both
	r.giveUp()
	r.Stop()
	r.Wait()
	if err := r.Unreached(); err != nil {
		t.Error(err)
	}
}

// If a listener's queue is full, a connect waits until the kernel tries again.
func TestAConnectHasATimeoutOfItsOwn(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.(*unix.SockaddrInet4).Port}).String()
	full, err := net.Dial("tcp", address) // fills the queue
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	r, err := Start(t.Context(), Options{URL: "tcp://" + address, Connections: 4, Requests: 4, Connect: 20 * time.Millisecond, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if got, f := r.Wait(), r.Failures(); got.Errors[Timeout] != 4 || f.Unreached[Timeout] != 4 || len(f.LostBy) != 0 {
		t.Errorf("errors %v, %+v; want 4 connects that were given up", got.Errors, f)
	}
}

// Many runs at once must leave a processor for the rest of the process.
func TestRunsLeaveOneProcessorToTheProcess(t *testing.T) {
	most := int32(runtime.GOMAXPROCS(0) - 1)
	before := claimed.Load()
	var runs []*Run
	for range 2 * runtime.GOMAXPROCS(0) {
		r := &Run{plan: &plan{Options: Options{Loops: 1}}, unseen: claim(1)}
		runs = append(runs, r)
		if now := claimed.Load(); now > max(most, before) {
			t.Fatalf("%d loops keep a processor, at most %d may", now, most)
		}
	}
	for _, r := range runs {
		r.unclaim()
	}
	if now := claimed.Load(); now != before {
		t.Errorf("%d processors are claimed, %d were before", now, before)
	}
}

func TestAThreadThatCannotBePreparedIsAFailure(t *testing.T) {
	url := plain(t, lines(echo))
	calls := 0
	if r := do(t, Options{URL: url, Requests: 10, Loops: 1, OnThread: func() error { calls++; return nil }}); r.Requests != 10 || calls != 1 {
		t.Errorf("%d requests, %d threads prepared", r.Requests, calls)
	}
	r := do(t, Options{URL: url, Requests: 10, Loops: 1, OnThread: func() error { return unix.EPERM }})
	if r.Requests != 0 || r.Errors[OtherFailed] != 1 {
		t.Errorf("%d requests, errors %v", r.Requests, r.Errors)
	}
}
