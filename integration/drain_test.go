package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/integration/testconf"
	"prefork/internal/testdir"
)

// startConnecting starts clients that connect all the time. Their timeout for a
// connect is short, so that they try again at once.
func startConnecting(t *testing.T, kind Kind, network, address string) *Running {
	return Load{
		Kind: kind, Network: network, Address: address,
		Clients: 16, Pause: 200 * time.Microsecond, PerConn: 3, Dial: 300 * time.Millisecond,
	}.Start(t.Context())
}

// Clients connect as fast as they can while the server drains and stops. Every
// connection whose handshake completed must be answered. Other connects may
// fail.
func TestStopAnswersEveryCompletedHandshake(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(testdir.Short(t), "s")
	for _, test := range []struct {
		name   string
		config func() testconf.Config
		kind   Kind
	}{
		{"threading", func() testconf.Config { return line(4) }, PerRequest},
		{"threading, a few requests a connection", func() testconf.Config { return line(4) }, Persistent},
		{"sequential", func() testconf.Config {
			c := line(4)
			c.Mode = "sequential"
			return c
		}, PerRequest},
		{"event", func() testconf.Config { return inEvent(4) }, PerRequest},
		{"event, a few requests a connection", func() testconf.Config { return inEvent(4) }, Persistent},
		{"forking", func() testconf.Config { return forking("exec", 4, 20) }, PerRequest},
		{"forking, by fork", func() testconf.Config { return forking("fork", 4, 20) }, PerRequest},
		{"unix", func() testconf.Config {
			c := line(4)
			c.Listen = []string{"unix://" + socket}
			return c
		}, PerRequest},
		{"http", func() testconf.Config { return web(4) }, KeepAlive},
		{"during probation", func() testconf.Config {
			c := line(4)
			c.Probation = time.Minute
			return c
		}, PerRequest},
		{"with a lame duck", func() testconf.Config {
			c := line(4)
			c.LameDuck = 100 * time.Millisecond
			return c
		}, PerRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			needSpawn(t, test.config().Spawn)
			for range times(5) {
				s := Start(t, test.config())
				network, address := s.Address("")
				load := startConnecting(t, test.kind, network, address)
				waitOK(t, 100, load)
				if test.name == "during probation" {
					s.Signal(syscall.SIGHUP)
					s.WaitState("probation")
				}
				s.Signal(syscall.SIGTERM)
				if code := s.WaitExit(); code != 0 {
					t.Errorf("exit status %d", code)
				}
				if tally := load.Stop(); tally.Lost() != 0 {
					t.Fatalf("connections lost: %v", tally)
				}
				if !Refused(network, address) {
					t.Error("the address still accepts connections")
				}
			}
		})
	}
}

// Connections that wait in the queue of a listener are answered before the
// server exits.
func TestStopAnswersTheQueue(t *testing.T) {
	c := line(1)
	c.Mode = "sequential"
	s := Start(t, c)
	holder := s.Dial()
	holder.WorkerPID()
	var queued []*Client
	for i := range 20 {
		client := s.Dial()
		client.Send(fmt.Sprintf("upper queued %d", i))
		queued = append(queued, client)
	}
	s.Signal(syscall.SIGTERM)
	s.WaitState("draining")
	_ = holder.Close()
	receiveQueued(t, queued)
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestDrainAnswersRequestsInFlightAndReportsItself(t *testing.T) {
	t.Parallel()
	s := Start(t, line(2))
	network, address := s.Address("")
	client := s.Dial()
	client.WorkerPID()
	client.Send("sleep 3s") // longer than the following requests take
	if code, err := s.Health(); code != 200 {
		t.Errorf("health before the drain: %d, %v", code, err)
	}
	result := make(chan Answer, 1)
	failed := make(chan error, 1)
	go func() {
		a, err := s.Command("drain")
		result <- a
		failed <- err
	}()
	s.WaitState("draining")
	if code, err := s.Health(); code != 503 {
		t.Errorf("health during the drain: %d, %v", code, err)
	}
	if a, err := s.Command("reload"); err != nil || a.OK {
		t.Errorf("a reload during the drain: %+v, %v", a, err)
	}
	if answer := client.Receive(); answer != "slept" {
		t.Errorf("answer to the request in flight: %q", answer)
	}
	_ = client.Close()
	if a, err := <-result, <-failed; err != nil || !a.OK {
		t.Errorf("result of the drain: %+v, %v", a, err)
	}
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if !Refused(network, address) {
		t.Error("the address still accepts connections")
	}
}

// An idle connection is closed after drain_idle. A connection that never ends
// is cut at the drain deadline.
func TestDrainEndsIdleAndEndlessConnections(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.DrainIdle, c.DrainTimeout = 200*time.Millisecond, 1500*time.Millisecond
	s := Start(t, c)
	idle, endless := s.Dial(), s.Dial()
	idle.WorkerPID()
	endless.WorkerPID()
	endless.Send("hang")
	s.Signal(syscall.SIGTERM)
	if err := idle.WaitClosed(); Classify(err) != EOF {
		t.Errorf("the idle connection ended with %v, want EOF", err)
	}
	endless.WaitClosed()
	s.WaitExit()
	s.Log.WaitText(t, "connections cut at the drain deadline")
}

func TestInterruptDrainsAndTheSecondOneStops(t *testing.T) {
	for _, second := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		s := Start(t, line(2))
		client := s.Dial()
		client.WorkerPID()
		client.Send("hang")
		s.Signal(syscall.SIGINT)
		s.WaitState("draining")
		s.Signal(second)
		s.WaitExit()
		client.WaitClosed()
	}
}

func TestQuitStopsAtOnce(t *testing.T) {
	s := Start(t, line(2))
	workers := s.WaitWorkers(2).Workers
	client := s.Dial()
	client.WorkerPID()
	client.Send("hang")
	s.Signal(syscall.SIGQUIT)
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	client.WaitClosed()
	for _, w := range workers {
		if Alive(w.PID) {
			t.Errorf("worker %d outlived its master", w.PID)
		}
	}
}

func TestStopCommandStopsAtOnce(t *testing.T) {
	s := Start(t, line(2))
	client := s.Dial()
	client.WorkerPID()
	client.Send("hang")
	s.Do("stop")
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if n := s.Log.Count("msg", "worker exited", "connections_lost", float64(1)); n != 1 {
		t.Errorf("%d log lines about a worker that lost a connection, want 1", n)
	}
}

// TERM to one worker drains that worker, and another replaces it.
func TestTERMToAWorkerDrainsIt(t *testing.T) {
	s := Start(t, line(2))
	network, address := s.Address("")
	client := s.Dial()
	pid := client.WorkerPID()
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	waitOK(t, 10, loads...)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if answer := client.Ask("upper served"); answer != "SERVED" {
		t.Error(answer)
	}
	_ = client.Close()
	s.WaitStatus("a replacement", func(status *Status) bool {
		return status.Worker(pid) == nil && len(status.Serving()) == 2
	})
	waitOK(t, 10, loads...)
	mustAllSucceed(t, loads...)
}

// The replacement does not wait until the worker's connections have ended.
func TestTERMToAWorkerStartsItsReplacementAtOnce(t *testing.T) {
	c := line(1)
	c.DrainIdle, c.DrainTimeout = time.Hour, time.Hour
	s := Start(t, c)
	old := s.Dial()
	pid := old.WorkerPID()
	kill(t, pid, syscall.SIGTERM)
	s.WaitStatus("a replacement beside the old worker", func(status *Status) bool {
		w := status.Worker(pid)
		return w != nil && w.State == "draining" && len(status.Workers) == 2 && len(status.Serving()) == 1
	})
	for range 3 {
		if answer := old.Ask("upper served"); answer != "SERVED" {
			t.Error(answer)
		}
		if other := s.Dial().WorkerPID(); other == pid {
			t.Error("a new connection went to the worker that drains")
		}
	}
	_ = old.Close()
	s.WaitWorkers(1)
	if status, err := s.Status(); err != nil || status.Totals.Restarts != 0 {
		t.Errorf("%v, %v; want no restarts", status, err)
	}
	if text := s.Log.Text(); !strings.Contains(text, "told to leave") || strings.Contains(text, "exited by itself") {
		t.Error("the log does not say why the worker left")
	}
}

// systemd's default KillMode and tini -g send TERM to every process of the
// server. The processes may receive it in any order.
func TestTERMToAllAnswersEveryCompletedHandshake(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func() testconf.Config{
		"threading":        func() testconf.Config { return line(2) },
		"event":            func() testconf.Config { return inEvent(2) },
		"forking":          func() testconf.Config { return forking("exec", 4, 20) },
		"forking, by fork": func() testconf.Config { return forking("fork", 4, 20) },
	} {
		for _, first := range []string{"workers", "master"} {
			t.Run(name+", "+first+" first", func(t *testing.T) {
				needSpawn(t, config().Spawn)
				for range times(3) {
					s := Start(t, config())
					network, address := s.Address("")
					load := startConnecting(t, PerRequest, network, address)
					waitOK(t, 100, load)
					status, err := s.Status()
					if err != nil {
						t.Fatal(err)
					}
					if first == "master" {
						s.Signal(syscall.SIGTERM)
					}
					for _, w := range status.Workers {
						_ = syscall.Kill(w.PID, syscall.SIGTERM) // may have exited
					}
					if first == "workers" {
						s.Signal(syscall.SIGTERM)
					}
					if code := s.WaitExit(); code != 0 {
						t.Errorf("exit status %d", code)
					}
					if tally := load.Stop(); tally.Lost() != 0 {
						t.Fatalf("connections lost: %v", tally)
					}
				}
			})
		}
	}
}

func TestTERMToAllAnswersTheQueue(t *testing.T) {
	for _, first := range []string{"workers", "master"} {
		t.Run(first+" first", func(t *testing.T) {
			c := line(1)
			c.Mode = "sequential"
			s := Start(t, c)
			holder := s.Dial()
			pid := holder.WorkerPID()
			var queued []*Client
			for i := range 20 {
				client := s.Dial()
				client.Send(fmt.Sprintf("upper queued %d", i))
				queued = append(queued, client)
			}
			if first == "workers" {
				kill(t, pid, syscall.SIGTERM)
				s.Log.WaitText(t, "worker to be replaced")
			}
			s.Signal(syscall.SIGTERM)
			if first == "master" {
				s.WaitState("draining")
				kill(t, pid, syscall.SIGTERM)
			}
			_ = holder.Close()
			receiveQueued(t, queued)
			if code := s.WaitExit(); code != 0 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

func TestWorkersIgnoreTerminalSignals(t *testing.T) {
	s := Start(t, line(2))
	before := s.WaitWorkers(2)
	for _, w := range before.Workers {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGTTIN, syscall.SIGTTOU} {
			if err := syscall.Kill(w.PID, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20 {
		if answer := s.Dial().Ask("upper x"); answer != "X" {
			t.Error(answer)
		}
	}
	after := s.WaitWorkers(2)
	for _, w := range before.Workers {
		if after.Worker(w.PID) == nil {
			t.Errorf("worker %d has gone", w.PID)
		}
	}
}
