package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"prefork/internal/load"
)

// onEvents runs f with a daemon in mode event for each poller. more is added to its
// configuration.
func onEvents(t *testing.T, more string, f func(t *testing.T, c *Command)) {
	t.Helper()
	for _, poller := range []string{"epoll", "poll", "select"} {
		t.Run(poller, func(t *testing.T) {
			t.Parallel()
			f(t, serve(t, fmt.Sprintf("mode = \"event\"\npoller = %q\n%s%s", poller, goodConfig, more)))
		})
	}
}

// upperLoad starts clients of the handler upper: on kept connections, and with a
// connection for each request.
func upperLoad(t *testing.T, c *Command) []*Running {
	t.Helper()
	network, address := c.Address("")
	var all []*Running
	for _, o := range []load.Options{{Mode: load.Exchange, PerConn: 40}, {Mode: load.Churn}} {
		o.URL, o.Connections, o.Pause, o.Timeout = network+"://"+address, 8, 5*time.Millisecond, Patience
		o.Payload, o.Template, o.Reply = []byte("token-{n}\n"), true, "TOKEN-{n}\n"
		r := Follow(t.Context(), o)
		r.Load.Kind = Kind(o.Mode)
		all = append(all, r)
	}
	return all
}

func TestEventReloadsScalesAndDrainsWithoutALostRequest(t *testing.T) {
	onEvents(t, "", func(t *testing.T, c *Command) {
		loads := upperLoad(t, c)
		waitOK(t, 20, loads...)
		for range times(4) {
			for _, command := range []string{"reload", "scale?n=%2B1", "reload", "scale?n=-1"} {
				c.Do(command)
				waitOK(t, 5, loads...)
			}
		}
		mustAllSucceed(t, loads...)
		network, address := c.Address("")
		connecting := Follow(t.Context(), load.Options{URL: network + "://" + address, Mode: load.Churn, Connections: 8,
			Timeout: Patience, Connect: 300 * time.Millisecond, Payload: []byte("token-{n}\n"), Template: true, Reply: "TOKEN-{n}\n"})
		waitOK(t, 50, connecting)
		c.Signal(syscall.SIGTERM)
		if code := c.WaitExit(); code != 0 {
			t.Errorf("exit status %d", code)
		}
		if tally := connecting.Stop(); tally.Lost() != 0 {
			t.Errorf("connections lost in the drain: %v", tally)
		}
	})
}

// A reload changes the mode in both directions. A connection of the old generation is
// served in the old mode until its client leaves.
func TestReloadToModeEventAndBackLosesNoRequest(t *testing.T) {
	t.Parallel()
	c := serve(t, goodConfig+"drain_idle = \"1m\"\n")
	loads := upperLoad(t, c)
	old := c.Dial()
	for i, mode := range []string{"event", "threading", "event"} {
		if answer := old.Ask("still here"); answer != "STILL HERE" {
			t.Errorf("%q", answer)
		}
		c.write(goodConfig + fmt.Sprintf("drain_idle = \"1m\"\nmode = %q\n", mode))
		if code, _, stderr := c.run("reload"); code != 0 {
			t.Fatalf("reload to %s: exit %d, %s", mode, code, stderr)
		}
		if code, stdout, _ := c.run("status"); code != 0 || !strings.Contains(stdout, "mode       "+mode+", 2 workers") {
			t.Errorf("status after reload %d: %s", i, stdout)
		}
		waitOK(t, 20, loads...)
	}
	if answer := old.Ask("still here"); answer != "STILL HERE" {
		t.Errorf("%q", answer)
	}
	_ = old.Close()
	mustAllSucceed(t, loads...)
}

func TestEventKillOfAWorkerCostsItsConnectionsOnly(t *testing.T) {
	s := Start(t, inEvent(2))
	victim := s.Dial()
	pid := victim.WorkerPID()
	bystander := s.Dial()
	Wait(t, "a connection to the other worker", func() (bool, string) {
		if bystander.WorkerPID() == pid {
			bystander = s.Dial()
			return false, "the same worker"
		}
		return true, ""
	})
	kill(t, pid, syscall.SIGKILL)
	_ = victim.WaitClosed()
	if other := bystander.WorkerPID(); other == pid {
		t.Error("the bystander is served by the dead worker")
	}
	s.WaitStatus("a replacement", func(status *Status) bool { return len(status.Serving()) == 2 && status.Totals.Restarts == 1 })
}

// A handler that panics costs its own connection.
func TestEventPanicClosesOnlyItsOwnConnection(t *testing.T) {
	s := Start(t, inEvent(1))
	other := s.Dial()
	pid := other.WorkerPID()
	client := s.Dial()
	client.Send("panic of one")
	_ = client.WaitClosed()
	if still := other.WorkerPID(); still != pid {
		t.Errorf("the other connection moved from %d to %d", pid, still)
	}
	s.Log.WaitText(t, "handler panic: of one")
	s.Log.WaitText(t, "commands.go") // the stack
	s.WaitStatus("one failure", func(status *Status) bool { return status.Totals.Failed == 1 && status.Totals.Restarts == 0 })
}

// A command on a goroutine answers through Conn.Wake, also after the client has
// half-closed, and in the order of the requests.
func TestEventAnswersOfGoroutinesArriveInOrder(t *testing.T) {
	s := Start(t, inEvent(1))
	client := s.Dial()
	client.Send("sleep 50ms\nupper a\nsleep 1ms\nupper b")
	if err := client.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"slept", "A", "slept", "B"} {
		if got := client.Receive(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := client.WaitClosed(); err != io.EOF {
		t.Errorf("the end is %v, want EOF", err)
	}
}

func TestEventHalfCloseAndTooLongLines(t *testing.T) {
	onEvents(t, "[options]\nmax_line = 100\n", func(t *testing.T, c *Command) {
		network, address := c.Address("")
		bystander := c.Dial()
		bystander.Ask("hello")
		long := strings.Repeat("x", 101)
		for input, want := range map[string]string{
			"a\nb\nlast":               "A\nB\nLAST",
			"":                         "",
			"a\n" + long:               "A\nerror: line longer than 100 bytes\n",
			long + "\nb\n":             "error: line longer than 100 bytes\n",
			long[:100] + "\nb\n":       strings.ToUpper(long[:100]) + "\nB\n",
			strings.Repeat("y", 1<<20): "error: line longer than 100 bytes\n",
		} {
			conn, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(Patience))
			_, _ = io.WriteString(conn, input) // a refused client may not finish
			_ = conn.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(conn); string(got) != want || err != nil {
				t.Errorf("%.30q: %.60q, %v; want %.60q", input, got, err, want)
			}
			_ = conn.Close()
		}
		c.WaitStatus("three failures", func(s *Status) bool { return s.Totals.Failed == 3 && s.Totals.Handled == 3 })
		if answer := bystander.Ask("still"); answer != "STILL" {
			t.Errorf("%q", answer)
		}
	})
}

// A client that does not read is not read from: it cannot make the worker keep more
// than max_unsent, and other clients of the worker do not notice.
func TestEventWaitsForASlowReader(t *testing.T) {
	onEvents(t, "handler = \"echo\"\n", func(t *testing.T, c *Command) {
		c.Do("scale?n=1")
		c.WaitWorkers(1)
		network, address := c.Address("")
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(Patience))
		const size = 64 << 20 // more than the buffers of the kernel
		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(conn, &pattern{left: size})
			if err == nil {
				err = conn.(*net.TCPConn).CloseWrite()
			}
			sent <- err
		}()
		other := c.Dial()
		for i := range times(200) {
			if text := fmt.Sprint("line ", i); other.Ask(text) != text {
				t.Fatal("another client got a wrong answer")
			}
		}
		select {
		case err := <-sent:
			t.Fatalf("%d bytes were taken without a reader, %v", size, err)
		default:
		}
		want, got := &pattern{left: size}, make([]byte, 1<<16)
		for expected := make([]byte, 1<<16); want.left > 0; {
			n, _ := want.Read(expected)
			if _, err := io.ReadFull(conn, got[:n]); err != nil || !bytes.Equal(got[:n], expected[:n]) {
				t.Fatalf("%d bytes before the end: %v, or other bytes than were sent", want.left, err)
			}
		}
		if n, err := conn.Read(got); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d bytes, %v", n, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// pattern is a reader of bytes that tell their place.
type pattern struct{ left int }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), p.left)
	for i := range b[:n] {
		at := p.left - i
		b[i] = byte(at ^ at>>8 ^ at>>16)
	}
	p.left -= n
	return n, nil
}

func TestEventServesAThousandConnections(t *testing.T) {
	onEvents(t, "", func(t *testing.T, c *Command) {
		const n = 1000
		network, address := c.Address("")
		conns := make([]*Client, n)
		for i := range conns {
			conns[i] = DialClient(t, network, address)
		}
		for range 2 {
			var group sync.WaitGroup
			for first := range 10 {
				group.Go(func() {
					for i := first; i < n; i += 10 {
						text := fmt.Sprint("line of ", i)
						if _, err := fmt.Fprintln(conns[i], text); err != nil {
							t.Errorf("connection %d: %v", i, err)
						}
						if got, err := conns[i].ReadLine(Patience); got != strings.ToUpper(text) || err != nil {
							t.Errorf("connection %d: %q, %v", i, got, err)
						}
					}
				})
			}
			group.Wait()
		}
		c.WaitStatus("all connections", func(s *Status) bool { return s.Totals.Active == n && s.Totals.Failed == 0 })
	})
}

func TestEventIsLoadedByTheLoadCommand(t *testing.T) {
	onEvents(t, "", func(t *testing.T, c *Command) {
		_, address := c.Address("")
		for _, args := range [][]string{{}, {"--per-connection", "1"}} {
			r := loadResult(t, append(args, "tcp://"+address, "-c", "16", "-n", "2000", "--expect", "upper")...)
			if r.Requests != 2000 || r.Failed() != 0 {
				t.Errorf("%v: %d requests, errors %v %v", args, r.Requests, r.Errors, r.Examples)
			}
		}
	})
}

func TestEventClosesAClientWithoutAFirstMessage(t *testing.T) {
	c := serve(t, goodConfig+"mode = \"event\"\nhandshake_timeout = \"300ms\"\n")
	talks := c.Dial()
	if answer := talks.Ask("hello"); answer != "HELLO" {
		t.Fatal(answer)
	}
	silent := c.Dial()
	_, _ = io.WriteString(silent, "half a line")
	_ = silent.WaitClosed()
	if answer := talks.Ask("still"); answer != "STILL" {
		t.Errorf("%q", answer)
	}
}

func TestReloadToModeEventRefusesTheHandlerHTTP(t *testing.T) {
	c := serve(t, goodConfig)
	c.write(goodConfig + "mode = \"event\"\nhandler = \"http\"\n")
	code, _, stderr := c.run("reload")
	if want := ":4: mode: the handler http does not run in mode event; use threading"; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("exit %d, %s; want %s", code, stderr, want)
	}
	if answer := c.Dial().Ask("hello"); answer != "HELLO" {
		t.Errorf("%q", answer)
	}
}

// Clients do anything at any time. Each one that waits for its answers gets them, and
// afterwards every connection has been counted and every descriptor closed.
func TestEventCountsAndClosesEveryConnection(t *testing.T) {
	onEvents(t, "handler = \"echo\"\n", func(t *testing.T, c *Command) {
		c.Dial().Ask("warm")
		base := c.Footprint()
		before, err := c.Status()
		if err != nil {
			t.Fatal(err)
		}
		network, address := c.Address("")
		n := times(400)
		var group sync.WaitGroup
		for first := range 8 {
			group.Go(func() {
				for i := first; i < n; i += 8 {
					if err := behave(network, address, i); err != nil {
						t.Errorf("client %d: %v", i, err)
					}
				}
			})
		}
		group.Wait()
		after := c.WaitStatus("all connections to end", func(s *Status) bool { return s.Totals.Active == before.Totals.Active })
		if got := after.Totals.Handled + after.Totals.Failed - before.Totals.Handled - before.Totals.Failed; got != uint64(n) {
			t.Errorf("%d connections were counted, want %d: %v", got, n, after)
		}
		if after.Totals.Restarts != 0 {
			t.Errorf("%d workers died", after.Totals.Restarts)
		}
		c.WaitFootprint(base)
	})
}

// behave is one client of the handler echo.
func behave(network, address string, i int) error {
	conn, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	tcp := conn.(*net.TCPConn)
	if err := tcp.SetDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	text := bytes.Repeat([]byte(fmt.Sprintf("client %d;", i)), 1+i*37%3000)
	switch i % 6 {
	case 0: // says nothing
		return nil
	case 1: // resets with an answer under way
		_, _ = tcp.Write(text)
		return tcp.SetLinger(0)
	case 2: // leaves with an answer under way
		_, err = tcp.Write(text)
		return err
	case 3: // resets without a word
		return tcp.SetLinger(0)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := tcp.Write(text)
		if err == nil && i%6 == 4 {
			err = tcp.CloseWrite()
		}
		sent <- err
	}()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(tcp, got); err != nil || !bytes.Equal(got, text) {
		return fmt.Errorf("the answer is not what was sent: %w", err)
	}
	if err := <-sent; err != nil || i%6 != 4 {
		return err
	}
	if n, err := tcp.Read(got); n != 0 || err != io.EOF {
		return fmt.Errorf("after the end: %d bytes, %w", n, err)
	}
	return nil
}
