package worker

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/ipc"
)

// spareAndServing runs a test with a forked spare, whose connection is nil, and with a
// forked worker that serves a silent client.
func spareAndServing(t *testing.T, cfg Config, f func(t *testing.T, z *zygote, p *process, c net.Conn)) {
	t.Run("spare", func(t *testing.T) {
		z := readyZygote(t, "forked", cfg)
		p := z.fork(1)
		p.accept()
		f(t, z, p, nil)
	})
	t.Run("serving", func(t *testing.T) {
		z := readyZygote(t, "forked", cfg)
		p, c := z.serving()
		f(t, z, p, c)
	})
}

// exits expects that the process exits with a code, and hears all that it has sent.
func (p *process) exits(code int) {
	p.t.Helper()
	within(p.t, "the end of the channel", p.heard)
	if s := p.exit(); !s.Exited() || s.ExitStatus() != code {
		p.t.Errorf("status %#x, want exit %d", s, code)
	}
}

func (p *process) order(m ipc.Message, fds ...int) {
	p.t.Helper()
	if err := p.channel.Send(m, fds...); err != nil {
		p.t.Fatal(err)
	}
}

func TestAForkedWorkerReportsTermAndDrains(t *testing.T) {
	spareAndServing(t, Config{DrainIdle: 20 * time.Millisecond}, func(t *testing.T, _ *zygote, p *process, c net.Conn) {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGTTOU, syscall.SIGTERM} {
			p.signal(s)
		}
		eventually(t, "the report", func() bool { return p.reported(ipc.StateLeaving) })
		if c != nil {
			ask(t, c, "x\n", "x\n") // it serves until the master has decided
		}
		p.order(&ipc.Drain{TimeoutMS: long})
		if c != nil {
			expectEOF(t, c)
		}
		p.exits(0)
		if !sent(p, func(d *ipc.Drained) bool { return d.Cut == 0 }) {
			t.Error("did not report that it has drained")
		}
	})
}

func TestAForkedWorkerStopsAtOnce(t *testing.T) {
	spareAndServing(t, Config{}, func(t *testing.T, _ *zygote, p *process, c net.Conn) {
		p.order(&ipc.Stop{})
		p.exits(0)
		if c != nil && !sent(p, func(d *ipc.Drained) bool { return d.Cut == 1 }) {
			t.Error("did not report the connection that it has cut")
		}
	})
}

func TestAForkedWorkerDrainsWhenItsMasterDies(t *testing.T) {
	spareAndServing(t, Config{DrainIdle: 20 * time.Millisecond}, func(t *testing.T, _ *zygote, p *process, c net.Conn) {
		_ = p.channel.Close()
		if c != nil {
			expectEOF(t, c)
		}
		p.exits(0)
		if n := p.logged("master is gone, draining"); n != 1 {
			t.Errorf("%d log lines, want 1", n)
		}
	})
}

// The master closes the channel of a worker for which a zygote that has died did not
// answer. The server goes on.
func TestAForkedWorkerThatNobodyWantsDoesNotDrain(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	p := z.fork(1)
	within(t, "ready", p.ready)
	_ = p.channel.Close()
	p.exits(0)
	if n := p.logged("master is gone, draining") + p.logged("draining"); n != 0 {
		t.Errorf("%d log lines about a drain, want none", n)
	}
}

func TestAForkedWorkerObeysOrders(t *testing.T) {
	spareAndServing(t, Config{AccessLog: true}, func(t *testing.T, z *zygote, p *process, c net.Conn) {
		log, access := memfile(t, "log"), memfile(t, "access")
		defer log.Close()
		defer access.Close()
		p.order(&ipc.LogLevel{Order: 1, Level: "debug"})
		p.order(&ipc.Reopen{Order: 2}, int(log.Fd()))
		p.order(&ipc.Drain{Hold: true})
		p.order(&ipc.Resume{})
		p.order(&ipc.AccessLog{Order: 3}, int(access.Fd()))
		p.order(&ipc.LameDuck{})
		p.order(&ipc.Dump{})
		for order := range uint64(3) {
			eventually(t, "the acknowledgements", func() bool {
				return sent(p, func(a *ipc.Ack) bool { return a.Order == order+1 })
			})
		}
		eventually(t, "the dump", func() bool { return strings.Contains(p.output(p.crash), "(*loop).run") })
		if dump := z.output(z.crash); dump != "" {
			t.Errorf("the zygote's crash file has %.100q", dump)
		}
		if c == nil {
			c = dial(t, z.addr)
		}
		ask(t, c, "x\n", "x\n")
		_ = c.Close()
		p.exits(0)
		if text := p.output(log); !strings.Contains(text, `"msg":"accepting"`) {
			t.Errorf("the reopened log has %q after the level debug", text)
		}
		record := p.output(access)
		if want := fmt.Sprintf(`"slot":1,"pid":%d,"generation":1`, p.pid); !strings.Contains(record, want) {
			t.Errorf("access log %q, want %q in it", record, want)
		}
	})
}

// Otherwise the handler would run only when the loop wakes, or once a second.
func TestTheHandlerOfAForkedWorkerRunsWhileItsLoopWaits(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	_, c := z.serving()
	for range 300 {
		ask(t, c, "x\n", "x\n")
	}
}

// With a silent client nothing wakes the process but its loop.
func TestAForkedWorkerHasAHeartbeat(t *testing.T) {
	spareAndServing(t, Config{}, func(t *testing.T, _ *zygote, p *process, c net.Conn) {
		turns(t, p.slot, 5)
		if c != nil {
			ask(t, c, "x\n", "x\n")
		}
	})
}

// Nobody preempts a handler that computes, so the master sees that there is no heartbeat.
func TestAForkedWorkerWithoutProgressHasNoHeartbeat(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	p, c := z.serving()
	if _, err := c.Write([]byte("spin\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a stale heartbeat", func() bool { return ipc.Now()-p.slot.Beat.Load() > int64(2*time.Second) })
	p.signal(syscall.SIGKILL)
	p.exit()
	within(t, "another worker", z.fork(0).ready)
}

func TestTheTimeoutsHoldInAForkedWorker(t *testing.T) {
	const brief = 50 * time.Millisecond
	for name, c := range map[string]struct {
		cfg   Config
		line  string
		check func(t *testing.T, c net.Conn)
	}{
		"read":           {Config{ReadTimeout: brief}, "silence\n", func(t *testing.T, c net.Conn) { hears(t, c, "i/o timeout") }},
		"idle":           {Config{IdleTimeout: brief}, "silence\n", func(t *testing.T, c net.Conn) { hears(t, c, "i/o timeout") }},
		"context":        {Config{HandlerTimeout: brief}, "until the deadline\n", func(t *testing.T, c net.Conn) { hears(t, c, "context deadline exceeded") }},
		"handler":        {Config{HandlerTimeout: brief}, "x\n", func(t *testing.T, c net.Conn) { expect(t, c, "x\n"); _, _ = io.Copy(io.Discard, c) }},
		"write":          {Config{WriteTimeout: brief}, "never\n", func(*testing.T, net.Conn) {}},
		"drain deadline": {Config{}, "x\n", func(t *testing.T, c net.Conn) { expect(t, c, "x\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			z := readyZygote(t, "forked", c.cfg)
			p, client := z.serving()
			if _, err := client.Write([]byte(c.line)); err != nil {
				t.Fatal(err)
			}
			c.check(t, client)
			if name == "drain deadline" {
				p.order(&ipc.Drain{TimeoutMS: 1})
			} else if name != "write" {
				_ = client.Close()
			}
			p.exits(0)
		})
	}
}

// hears expects that the answer contains a text.
func hears(t *testing.T, c net.Conn, want string) {
	t.Helper()
	buf := make([]byte, 200)
	if n, err := c.Read(buf); err != nil || !strings.Contains(string(buf[:n]), want) {
		t.Errorf("read %q, %v; want %q", buf[:n], err, want)
	}
}

func TestAFailureOfAForkedWorkerCostsOneConnection(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	for _, c := range []struct {
		line     string
		status   string // of the process
		evidence string // in its crash file
		failed   uint64 // connections
	}{
		{"panic", "exit 0", "", 1},
		{"goexit", "exit 0", "", 1},
		{"exit", "exit 7", "", 0},
		{"goroutine panics", "exit 2", "panic: out of reach", 0},
		{"fatal", "exit 2", "internal/sync.fatal", 0},
		{"kill", "killed", "", 0},
	} {
		t.Run(c.line, func(t *testing.T) {
			z.t = t
			p, client := z.serving()
			if _, err := client.Write([]byte(c.line + "\n")); err != nil {
				t.Fatal(err)
			}
			status := "killed"
			if s := p.exit(); s.Exited() {
				status = fmt.Sprintf("exit %d", s.ExitStatus())
			}
			if status != c.status || p.slot.Failed.Load() != c.failed {
				t.Errorf("%s, %d failed; want %s and %d", status, p.slot.Failed.Load(), c.status, c.failed)
			}
			if text := p.output(p.crash); !strings.Contains(text, c.evidence) || c.evidence == "" && text != "" {
				t.Errorf("crash file %.200q, want %q", text, c.evidence)
			}
			if text := z.output(z.crash); text != "" {
				t.Errorf("the zygote's crash file has %.200q", text)
			}
		})
	}
}

func TestAForkedWorkerReplacesNoFileOfTheProgram(t *testing.T) {
	z := readyZygote(t, "own crash output", Config{})
	p := z.fork(0)
	p.accept()
	expect(t, dial(t, z.addr), "tabletabletable\n")
}

func TestAForkedWorkerServesHTTP(t *testing.T) {
	z := readyZygote(t, "forked web", Config{})
	for i := range 3 {
		p := z.fork(i)
		p.accept()
		client := &http.Client{Timeout: patience}
		for range 3 { // over one connection
			resp, err := client.Get("http://" + z.addr)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(body) != fmt.Sprint(p.pid) || err != nil {
				t.Errorf("read %q, %v; want the pid %d", body, err, p.pid)
			}
		}
		client.CloseIdleConnections()
		p.exits(0)
	}
	spare := z.fork(0)
	spare.accept()
	spare.order(&ipc.Drain{TimeoutMS: long})
	spare.exits(0)
}

func TestAForkedWorkerRejectsAndServes(t *testing.T) {
	z := readyZygote(t, "picky", Config{})
	p := z.fork(0)
	p.accept()
	for range 3 {
		expectEOF(t, dial(t, z.addr))
	}
	ask(t, dial(t, z.addr), "x", "x")
	if n := p.slot.Rejected.Load(); n != 3 {
		t.Errorf("rejected %d, want 3", n)
	}
}

func TestAForkedWorkerStartsPrograms(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	_, c := z.serving()
	ask(t, c, "program\n", "300000 bytes, 4 descriptors\n") // the standard ones and that of ls
	ask(t, c, "x\n", "x\n")
}

func TestForkedWorkersShareRandomNumbersButNotSeeds(t *testing.T) {
	z := readyZygote(t, "forked", Config{})
	seen := map[string]int{}
	for _, line := range []string{"random", "random", "seed", "seed"} {
		p, c := z.serving()
		if _, err := c.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen[line+" "+string(buf[:n])]++
		_ = c.Close()
		p.exits(0)
	}
	if len(seen) != 3 { // and if it is 4, the documentation is wrong
		t.Errorf("two workers each had %v", seen)
	}
}

// The clients of a sample are chosen in each worker. If all chose as the first does, there
// would be all or none.
func TestForkedWorkersSampleTheAccessLog(t *testing.T) {
	z := readyZygote(t, "forked", Config{AccessLog: true, AccessSample: 0.5})
	access := memfile(t, "access")
	defer access.Close()
	z.order(&ipc.AccessLog{Order: 1}, int(access.Fd()))
	const n = 40 // all alike by chance: once in 2^39 runs
	for range n {
		p, c := z.serving()
		ask(t, c, "x\n", "x\n")
		_ = c.Close()
		p.exits(0)
	}
	if records := strings.Count(z.output(access), "\n"); records == 0 || records == n {
		t.Errorf("%d records of %d connections with a sample of one half", records, n)
	}
}

func TestAwaitReturnsForAProcessThatWasWaitedFor(t *testing.T) {
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "exit 0"}, new(os.ProcAttr))
	if err != nil {
		t.Fatal(err)
	}
	if err := Await(p); err != nil {
		t.Error(err)
	}
	if state, err := p.Wait(); err != nil || !state.Exited() {
		t.Errorf("wait: %v, %v", state, err)
	}
	if err := Await(p); err != nil {
		t.Errorf("after Wait: %v", err)
	}
}
