package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEveryRequestIsAnsweredAndCounted(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"persistent", Options{}},
		{"two loops", Options{Loops: 2}},
		{"churn", Options{Mode: Churn}},
		{"churn with greeting", Options{Mode: Churn, Greeting: "who"}},
		{"pipeline", Options{Pipeline: 7}},
		{"a few per connection", Options{PerConn: 3, Greeting: "who"}},
		{"a few per connection in a pipeline", Options{PerConn: 10, Pipeline: 4}},
		{"pause", Options{Pause: time.Microsecond}},
		{"rate", Options{Rate: "20000"}},
		{"rate, churn, two loops", Options{Rate: "5000", Mode: Churn, Loops: 2}},
		{"rate, pipeline", Options{Rate: "20000", Pipeline: 3}},
		{"source", Options{Source: []string{"127.0.0.2", "127.0.0.3"}, PerConn: 5}},
		{"warm-up", Options{Warmup: 20 * time.Millisecond}},
		{"rate with warm-up", Options{Rate: "10000", Warmup: 20 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var served atomic.Int64
			c.o.URL = plain(t, lines(func(n int, line string) (string, bool) {
				served.Add(1)
				return upper(n, line)
			}))
			c.o.Connections, c.o.Requests, c.o.Expect = 8, 500, "upper"
			r := do(t, c.o)
			if r.Requests != 500 || r.Failed() != 0 {
				t.Fatalf("%d requests, errors %v %v", r.Requests, r.Errors, r.Examples)
			}
			if served.Load() < 500 || r.Uncorrected.Count != 500 || r.ElapsedS <= 0 || r.RequestsPS <= 0 || r.Connections < 8 {
				t.Errorf("%+v", r)
			}
			sum := uint64(0)
			for _, s := range r.Series {
				sum += s.Requests
			}
			if sum != 500 {
				t.Errorf("the series has %d requests: %+v", sum, r.Series)
			}
		})
	}
}

func TestAUnixSocketIsATargetToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					_, _ = c.Write([]byte(line))
				}
			}()
		}
	}()
	for _, mode := range []Mode{Exchange, Churn} {
		r := do(t, Options{URL: "unix://" + path, Mode: mode, Requests: 300, Connections: 4, Expect: "echo"})
		if r.Requests != 300 || r.Failed() != 0 {
			t.Errorf("%s: %d requests, %v %v", mode, r.Requests, r.Errors, r.Examples)
		}
	}
	l.Close()
	r := do(t, Options{URL: "unix://" + path, Requests: 4, Connections: 2})
	if r.Errors[Refused] != 4 {
		t.Errorf("want only refusals: %v %v", r.Errors, r.Examples)
	}
}

func TestEachBrokenServerHasItsClass(t *testing.T) {
	rst := func(c *net.TCPConn, _ int) {
		_, _ = c.Read(make([]byte, 1)) // leaves the rest unread
		_ = c.SetLinger(0)             // close sends RST
	}
	spoil := func(with string, more bool) func(*net.TCPConn, int) {
		return lines(func(n int, line string) (string, bool) {
			if n == 3 {
				return with, more
			}
			return upper(n, line)
		})
	}
	one := func(with string, more bool) func(*net.TCPConn, int) {
		return lines(func(int, string) (string, bool) { return with, more })
	}
	for _, c := range []struct {
		name  string
		serve func(*net.TCPConn, int)
		o     Options
		want  Class
	}{
		{"reset", rst, Options{}, Reset},
		{"reset", rst, Options{Mode: Churn}, Reset},
		{"end before the answer", one("", false), Options{Mode: Churn}, EOF},
		{"end before the third answer", spoil("", false), Options{}, EOF},
		{"end before the third answer", spoil("", false), Options{Pause: time.Millisecond}, EOF},
		{"end before the third answer", spoil("", false), Options{Rate: "1000"}, EOF},
		{"half an answer", spoil("HEL", false), Options{}, Short},
		{"half an answer", one("HEL", false), Options{Mode: Churn}, Short},
		{"another's answer", spoil("HELLO 999999\n", true), Options{}, Wrong},
		{"lower case", lines(echo), Options{}, Wrong},
		{"a line too much", one("HELLO\nx\n", true), Options{Expect: "lines:1"}, Wrong},
		{"a byte too much", one("HELLO\nx\n", true), Options{Expect: "bytes:7"}, Wrong},
		{"no match", one("HELLO\n", true), Options{Expect: "regex:^hello"}, Wrong},
		{"no answer", one("", true), Options{}, Timeout},
		{"no answer", one("", true), Options{Mode: Churn}, Timeout},
		{"no whole answer", one("HELLO", true), Options{Expect: "lines:1"}, Timeout},
		{"no answer to the greeting", one("", true), Options{Greeting: "who"}, Timeout},
		{"end after the greeting", one("", false), Options{Greeting: "who"}, EOF},
	} {
		t.Run(fmt.Sprintf("%s, %s, pause %v, rate %s", c.name, c.o.Mode, c.o.Pause, c.o.Rate), func(t *testing.T) {
			t.Parallel()
			c.o.URL, c.o.Connections, c.o.Timeout = plain(t, c.serve), 2, patience(c.want)
			c.o.Duration = 20 * time.Second
			if c.o.Expect == "" {
				c.o.Expect = "upper"
			}
			c.o.Requests = 7
			r := do(t, c.o)
			if r.Errors[c.want] == 0 || r.Failed() != r.Errors[c.want] || r.Requests+r.Failed() != 7 {
				t.Errorf("%d requests, errors %v, want only %s\n%s", r.Requests, r.Errors, c.want, strings.Join(r.Examples, "\n"))
			}
			if len(r.Examples) == 0 || !strings.HasPrefix(r.Examples[0], string(c.want)+": ") {
				t.Errorf("examples: %q", r.Examples)
			}
		})
	}
}

func TestConnectsToADeadServerAreRefusedWithoutABusyLoop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "tcp://" + l.Addr().String()
	_ = l.Close()
	for _, o := range []Options{{}, {Mode: Churn}, {Mode: Idle}, {Rate: "100"}} {
		o.URL, o.Connections, o.Duration = url, 5, 200*time.Millisecond
		r := do(t, o)
		// Each connection tries again after 10 ms.
		if n := r.Errors[Refused]; n < 5 || n > 5*30 || r.Failed() != n {
			t.Errorf("%q %q: errors %v %v", o.Mode, o.Rate, r.Errors, r.Examples)
		}
	}
}

// In an open loop each due request fails once, and the last one ends the run.
func TestADeadServerFailsEachRequestThatIsDue(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "tcp://" + l.Addr().String()
	_ = l.Close()
	for _, o := range []Options{{}, {Mode: Churn}} {
		o.URL, o.Connections, o.Rate, o.Requests = url, 4, "2000", 300
		r := do(t, o)
		if n := r.Errors[Refused]; n+r.Generator.Unsent != 300 || r.Failed() != n || n == 0 {
			t.Errorf("%q: errors %v and %d never sent of 300 requests", o.Mode, r.Errors, r.Generator.Unsent)
		}
	}
}

func TestALimitOfDescriptorsOrPortsIsTheClientsOwn(t *testing.T) {
	for errno, want := range map[unix.Errno]Class{unix.EADDRNOTAVAIL: OutOfPorts, unix.EADDRINUSE: OutOfPorts, unix.EMFILE: OutOfFiles, unix.ENFILE: OutOfFiles} {
		class := classify(errno)
		warnings := new(Run).generator(0, &Result{Errors: map[Class]uint64{class: 3}}).Warnings
		if class != want || len(warnings) != 1 || !strings.Contains(warnings[0], "not the server's fault") {
			t.Errorf("%v: %s, %q", errno, class, warnings)
		}
	}
}

func TestAnAddressOfAnotherMachineIsNotCountedAsOutOfPorts(t *testing.T) {
	o := Options{URL: plain(t, lines(echo)), Source: []string{"192.0.2.1"}, Requests: 3, Connections: 1}
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "source 192.0.2.1: this machine does not have the address") {
		t.Errorf("at the start: %v", err)
	}
	o.OnThread = func() error { return nil } // the start does not know in which network the threads will be
	if r := do(t, o); r.Errors[OtherFailed] != 3 || len(r.Generator.Warnings) > 0 {
		t.Errorf("in the run: %v %v %q", r.Errors, r.Examples, r.Generator.Warnings)
	}
}

func TestLostConnectionsAreCountedByLabel(t *testing.T) {
	var n atomic.Int64
	lost := make(chan struct{}) // closed by worker 1; without it worker 0 might answer all requests first
	var once sync.Once
	url := plain(t, func(c *net.TCPConn, _ int) {
		name := fmt.Sprintf("worker %d", n.Add(1)%2)
		lines(func(n int, line string) (string, bool) {
			switch {
			case line == "who\n":
				return name + "\n", true
			case name == "worker 0":
				<-lost
			case n >= 5:
				once.Do(func() { close(lost) })
				return "", false
			}
			return line, true
		})(c, 0)
	})
	run, err := Start(t.Context(), Options{URL: url, Connections: 4, Requests: 200, Greeting: "who", Expect: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	r, lostBy := run.Wait(), run.Failures().LostBy
	if lostBy["worker 1"] == 0 || lostBy["worker 0"] != 0 || r.Failed() != lostBy["worker 1"] {
		t.Errorf("lost by %v, errors %v", lostBy, r.Errors)
	}
}

func TestIdleConnectionsAreHeldAndTheirEndIsNoticed(t *testing.T) {
	var mu sync.Mutex
	held := 0
	url := plain(t, func(c *net.TCPConn, n int) {
		mu.Lock()
		held++
		mu.Unlock()
		if n > 190 {
			return
		}
		_, _ = c.Read(make([]byte, 1))
	})
	run, err := Start(t.Context(), Options{URL: url, Mode: Idle, Connections: 200, Duration: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for run.Progress().Active != 190 || run.Progress().Errors != 10 {
		select {
		case <-run.Done():
			t.Fatalf("the run ended: %+v", run.Progress())
		case <-time.After(time.Millisecond):
		}
	}
	run.Stop()
	r := run.Wait()
	mu.Lock()
	defer mu.Unlock()
	if r.Standing != 190 || r.Connections != 200 || r.Errors[EOF] != 10 || r.Failed() != 10 || held != 200 {
		t.Errorf("%d of %d connections are open, errors %v", r.Standing, r.Connections, r.Errors)
	}
}

func TestAnOpenLoopReopensAnIdleConnection(t *testing.T) {
	url := plain(t, func(c *net.TCPConn, _ int) {
		in := bufio.NewReader(c)
		line, err := in.ReadString('\n')
		if err == nil {
			_, _ = c.Write([]byte(line))
		}
	})
	// The server closes each connection after one request. On a stalled machine a
	// request may be sent before the client has seen the close. It then gets EOF
	// or a reset.
	r := do(t, Options{URL: url, Rate: "200", Requests: 40, Connections: 10, Expect: "echo"})
	if late := r.Errors[EOF] + r.Errors[Reset]; r.Requests+late != 40 || r.Failed() != late || r.Connections < r.Requests || r.Requests <= 10 {
		t.Errorf("%d requests over %d connections, errors %v %v", r.Requests, r.Connections, r.Errors, r.Examples)
	}
}

func TestTheEndOfTheContextEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	run, err := Start(ctx, Options{URL: plain(t, lines(func(int, string) (string, bool) { return "", true })), Duration: time.Hour, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	r := run.Wait()
	if r.Requests != 0 || r.Failed() != 0 || r.ElapsedS > 60 {
		t.Errorf("%+v", r)
	}
}

func TestStopWaitsForTheAnswersThatAreDue(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	url := plain(t, lines(func(_ int, line string) (string, bool) {
		asked <- struct{}{}
		<-answer
		return line, true
	}))
	run, err := Start(t.Context(), Options{URL: url, Connections: 3, Duration: time.Hour, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-asked
	}
	run.Stop()
	close(answer)
	if r := run.Wait(); r.Requests != 3 || r.Failed() != 0 {
		t.Errorf("%d requests, errors %v", r.Requests, r.Errors)
	}
}
