package integration

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"prefork/integration/testconf"
)

func forking(spawn string, spare, most int) testconf.Config {
	c := line(0)
	c.Mode, c.Spawn, c.MinSpare, c.MaxChildren = "forking", spawn, spare, most
	return c
}

// eachSpawn runs f with processes that are executed and that are forked.
func eachSpawn(t *testing.T, f func(t *testing.T, spawn string)) {
	for _, spawn := range []string{"exec", "fork"} {
		t.Run(spawn, func(t *testing.T) {
			needSpawn(t, spawn)
			f(t, spawn)
		})
	}
}

// needSpawn skips the test if the programs of the tests cannot be forked.
func needSpawn(t *testing.T, spawn string) {
	t.Helper()
	if spawn == "fork" && os.Getenv("PREFORK_TEST_RACE") != "" {
		t.Skip("the race detector links cgo, so the program cannot be forked")
	}
}

// mustSpawn checks that the workers were started as they should have been.
func (s *Server) mustSpawn(t *testing.T, spawn string) {
	t.Helper()
	status, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	if status.Spawn != spawn {
		t.Errorf("workers are started by %q, want %q", status.Spawn, spawn)
	}
}

func TestForkingServesEachConnectionInItsOwnProcess(t *testing.T) {
	eachSpawn(t, servesEachConnectionInItsOwnProcess)
}

func servesEachConnectionInItsOwnProcess(t *testing.T, spawn string) {
	s := Start(t, forking(spawn, 4, 20))
	base := s.Footprint()
	network, address := s.Address("")
	n := times(100)
	var mu sync.Mutex
	pids := make(map[string]int)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			for range n / 5 {
				pid, err := Asks(network, address, "pid")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				pids[pid]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(pids) != n {
		t.Errorf("%d connections were served by %d processes", n, len(pids))
	}
	s.WaitFootprint(base)
	status := s.WaitStatus("four spares, nothing active", func(status *Status) bool {
		return len(status.Workers) == 4 && status.Totals.Active == 0 && status.Totals.Handled == uint64(n)
	})
	if status.Totals.Restarts != 0 || status.Degraded != "" {
		t.Errorf("want no restarts after connections that were served: %v", status)
	}
	s.mustSpawn(t, spawn)
}

// Busy workers and spares together never exceed max_children.
func TestForkingNeverExceedsMaxChildren(t *testing.T) { eachSpawn(t, neverExceedsMaxChildren) }

func neverExceedsMaxChildren(t *testing.T, spawn string) {
	s := Start(t, forking(spawn, 2, 6))
	network, address := s.Address("")
	var held []*Client
	for range 6 {
		client := DialClient(t, network, address)
		client.WorkerPID()
		held = append(held, client)
	}
	status := s.WaitStatus("six busy workers", func(status *Status) bool { return len(status.Workers) == 6 && status.Totals.Active == 6 })
	for _, w := range status.Workers {
		if w.State != "busy" {
			t.Errorf("worker %d is %s, not busy", w.PID, w.State)
		}
	}
	waiting := DialClient(t, network, address)
	waiting.Send("upper after you")
	s.WaitStatus("the seventh in the queue", func(status *Status) bool {
		if len(status.Workers) > 6 {
			t.Errorf("more than max_children: %v", status)
		}
		return status.Listeners[0].Queued == 1
	})
	_ = held[0].Close()
	if answer := waiting.Receive(); answer != "AFTER YOU" {
		t.Error(answer)
	}
}

// Whatever a handler does to its process, only its own connection is lost.
func TestForkingCrashLosesOneConnection(t *testing.T) { eachSpawn(t, crashLosesOneConnection) }

func crashLosesOneConnection(t *testing.T, spawn string) {
	t.Parallel()
	s := Start(t, forking(spawn, 4, 20))
	network, address := s.Address("")
	bystander := s.Dial()
	pid := bystander.WorkerPID()
	load := startLoads(t.Context(), network, address, PerRequest)[0]
	for _, crash := range fatalCrashes {
		t.Run(crash.command, func(t *testing.T) {
			waitOK(t, 10, load)
			client := s.Dial()
			victim := client.WorkerPID()
			client.Send(crash.command)
			client.WaitClosed()
			crash.checkEvidence(t, s, victim)
			waitOK(t, 10, load)
		})
	}
	mustAllSucceed(t, load)
	if still := bystander.WorkerPID(); still != pid {
		t.Errorf("the bystander moved from %d to %d", pid, still)
	}
	s.mustSpawn(t, spawn)
}

func TestForkingReloadsAndScalesUnderLoad(t *testing.T) { eachSpawn(t, reloadsAndScalesUnderLoad) }

func reloadsAndScalesUnderLoad(t *testing.T, spawn string) {
	t.Parallel()
	s := Start(t, forking(spawn, 3, 30))
	network, address := s.Address("")
	// Few clients: a scale waits for its spares, and many clients would take
	// them as fast as they start.
	load := Load{Kind: PerRequest, Network: network, Address: address, Clients: 2, Pause: 20 * time.Millisecond}.Start(t.Context())
	for range times(10) {
		waitOK(t, 3, load)
		s.Do("reload")
		s.Do("scale?n=%2B1")
		s.Do("scale?n=-1")
	}
	mustAllSucceed(t, load)
}

// Each sequential worker takes one connection. The others stay in the queue.
func TestSequentialServesOneConnectionPerWorker(t *testing.T) {
	const workers, clients = 3, 9
	c := line(workers)
	c.Mode = "sequential"
	s := Start(t, c)
	network, address := s.Address("")
	replies := make(chan int, clients)
	var all []*Client
	for i := range clients {
		client := DialClient(t, network, address)
		client.Send("upper x")
		all = append(all, client)
		go func() {
			if answer, err := client.ReadLine(Patience); err == nil && answer == "X" {
				replies <- i
			} else {
				t.Errorf("connection %d: %q, %v", i, answer, err)
				replies <- -1
			}
		}()
	}
	for served := 0; served < clients; {
		batch := make([]int, 0, workers)
		for range workers {
			batch = append(batch, <-replies)
		}
		served += workers
		s.WaitStatus("as many served as there are workers, the rest queued", func(status *Status) bool {
			if status.Totals.Active > workers {
				t.Errorf("%d connections at once", status.Totals.Active)
			}
			return status.Totals.Active == workers && status.Listeners[0].Queued == clients-served
		})
		select {
		case i := <-replies:
			t.Fatalf("connection %d was served although every worker was busy", i)
		default:
		}
		for _, i := range batch {
			if i >= 0 {
				_ = all[i].Close()
			}
		}
	}
}

func TestSequentialReusesItsProcess(t *testing.T) {
	c := line(1)
	c.Mode = "sequential"
	s := Start(t, c)
	network, address := s.Address("")
	pids := make(map[string]bool)
	for range 10 {
		pid, err := Asks(network, address, "pid")
		if err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	if len(pids) != 1 {
		t.Errorf("ten connections were served by %d processes", len(pids))
	}
}

// A panic in a handler is recovered and logged with its stack. Only that
// connection is closed.
func TestThreadingPanicClosesOnlyItsOwnConnection(t *testing.T) {
	s := Start(t, line(1))
	var others []*Client
	for range 10 {
		client := s.Dial()
		client.WorkerPID()
		others = append(others, client)
	}
	for range 5 {
		client := s.Dial()
		client.WorkerPID()
		client.Send("panic of one")
		client.WaitClosed()
	}
	pid := others[0].WorkerPID()
	for _, client := range others {
		if client.WorkerPID() != pid {
			t.Error("a connection moved")
		}
	}
	status := s.WaitStatus("five failures", func(status *Status) bool { return status.Totals.Failed == 5 })
	if status.Totals.Restarts != 0 || status.Totals.Active != 10 {
		t.Errorf("after five panics: %v", status)
	}
	s.Log.WaitText(t, "handler panic: of one")
	s.Log.WaitText(t, "commands.go") // the stack
}

// Each connection has its own process, so the limit of log lines must hold for
// all processes together.
func TestForkingClientsCannotFloodTheLog(t *testing.T) { eachSpawn(t, clientsCannotFloodTheLog) }

func clientsCannotFloodTheLog(t *testing.T, spawn string) {
	c := line(4)
	c.Mode, c.Spawn, c.LogLevel = "forking", spawn, "info"
	s := Start(t, c)
	network, address := s.Address("")
	long := strings.Repeat("A", 100_000)
	const clients = 80
	for range clients {
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, long) // the handler fails before the end
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	s.WaitStatus("all failures", func(status *Status) bool { return status.Totals.Failed == clients })
	s.Signal(syscall.SIGTERM)
	s.WaitExit()
	logged, omitted := 0, 0
	for _, line := range s.Log.Lines() {
		switch line["msg"] {
		case "connection failed":
			logged++
		case "failures not logged":
			n, _ := line["count"].(float64)
			omitted += int(n)
		}
	}
	if logged+omitted != clients || logged == 0 {
		t.Errorf("%d failures logged and %d omitted, want %d in total", logged, omitted, clients)
	}
	if omitted == 0 {
		t.Errorf("each of %d failures is logged, want a limit", clients)
	}
}
