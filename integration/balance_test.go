package integration

import (
	"sync"
	"syscall"
	"testing"
)

// spread returns the ratio of the largest count to the mean of n workers.
func spread(t *testing.T, what string, counts map[string]int, n int) float64 {
	t.Helper()
	total, most := 0, 0
	for _, count := range counts {
		total += count
		most = max(most, count)
	}
	ratio := float64(most) * float64(n) / float64(total)
	t.Logf("%s: %v, busiest/mean %.3f", what, counts, ratio)
	return ratio
}

// mustSpread fails if the ratio that try returns is above limit three times. The
// machine may run a worker too rarely to accept its share, so that the others
// accept it.
func mustSpread(t *testing.T, limit float64, try func() float64) {
	t.Helper()
	var ratios []float64
	for range 3 {
		ratio := try()
		if ratio <= limit {
			return
		}
		ratios = append(ratios, ratio)
	}
	t.Errorf("busiest/mean %.3f, at most %.2f", ratios, limit)
}

func TestConnectionsOneAtATimeSpreadOverTheWorkers(t *testing.T) {
	s := Start(t, line(4))
	network, address := s.Address("")
	mustSpread(t, 1.25, func() float64 {
		counts := make(map[string]int)
		for range times(3000) {
			pid, err := Asks(network, address, "pid")
			if err != nil {
				t.Fatal(err)
			}
			counts[pid]++
		}
		return spread(t, "one at a time", counts, 4)
	})
}

func TestLongLivedConnectionsSpreadOverTheWorkers(t *testing.T) {
	mustSpread(t, 1.10, func() float64 {
		s := Start(t, line(4))
		waitAllWorkersServe(t, s, 4)
		counts := make(map[string]int)
		holdMany(t, s, 400, counts)
		s.WaitStatus("400 active connections", func(status *Status) bool { return status.Totals.Active == 400 })
		return spread(t, "long-lived", counts, 4)
	})
}

// The clients of a pool connect at the same moment, often a few for each worker.
func TestFewLongLivedConnectionsThatComeTogetherSpread(t *testing.T) {
	mustSpread(t, 1.50, func() float64 { // the mean is 4, and 6 may be the most
		s := Start(t, line(4))
		s.WaitStatus("4 workers that serve", func(status *Status) bool { return len(status.Serving()) == 4 })
		counts := make(map[string]int)
		holdTogether(t, s, 16, 16, counts)
		return spread(t, "16 together", counts, 4)
	})
}

// waitAllWorkersServe connects until n workers have answered. A worker begins
// to accept a moment after the master orders it.
func waitAllWorkersServe(t *testing.T, s *Server, n int) {
	t.Helper()
	network, address := s.Address("")
	seen := make(map[string]bool)
	for range 10000 {
		pid, err := Asks(network, address, "pid")
		if err != nil {
			t.Fatal(err)
		}
		if seen[pid] = true; len(seen) == n {
			return
		}
	}
	t.Fatalf("10000 connections reached %d workers, want %d", len(seen), n)
}

// If workers took turns, a new worker would get as many new connections as one
// that already holds a hundred: 1.50. The gate gives the new worker more.
func TestNewWorkersCatchUpWithLongLivedConnections(t *testing.T) {
	mustSpread(t, 1.20, func() float64 {
		s := Start(t, line(2))
		counts := make(map[string]int)
		holdMany(t, s, 200, counts)
		s.Do("scale?n=4")
		waitAllWorkersServe(t, s, 4)
		holdMany(t, s, 200, counts)
		return spread(t, "long-lived, two workers later", counts, 4)
	})
}

// holdMany opens n connections, eight at a time, and counts them by worker.
// They stay open until the test ends.
func holdMany(t *testing.T, s *Server, n int, counts map[string]int) {
	t.Helper()
	holdTogether(t, s, n, 8, counts)
}

// holdTogether is holdMany with so many at a time.
func holdTogether(t *testing.T, s *Server, n, together int, counts map[string]int) {
	t.Helper()
	network, address := s.Address("")
	var mu sync.Mutex
	var group sync.WaitGroup
	for range together {
		group.Go(func() {
			for range n / together {
				pid, err := hold(t, network, address)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				counts[pid]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

// When the gate sees that a worker has stopped, the worker gets no more
// connections. No connection is lost.
func TestStoppedWorkerGetsNoNewConnections(t *testing.T) {
	s := Start(t, line(4))
	network, address := s.Address("")
	held := s.Dial()
	stopped := held.WorkerPID()
	stop(t, stopped)
	t.Cleanup(func() { _ = syscall.Kill(stopped, syscall.SIGCONT) })
	before, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range times(500) / 4 {
				pid, err := Asks(network, address, "pid")
				if err != nil {
					t.Error("a connection was not served:", err)
					return
				}
				mu.Lock()
				counts[pid]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	spread(t, "beside a stopped worker", counts, 3)
	after, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	if w := after.Worker(stopped); w == nil || w.Active != before.Worker(stopped).Active || len(counts) != 3 {
		t.Errorf("the stopped worker got connections: before %v; after %v; served by %v", before, after, counts)
	}
	kill(t, stopped, syscall.SIGCONT)
	if pid := held.WorkerPID(); pid != stopped {
		t.Errorf("the held connection moved from %d to %d", stopped, pid)
	}
}

// hold opens a connection that stays open until the test ends and returns the
// pid of its worker.
func hold(t *testing.T, network, address string) (string, error) {
	client, err := TryDial(t, network, address)
	if err != nil {
		return "", err
	}
	if _, err := client.Write([]byte("pid\n")); err != nil {
		return "", err
	}
	return client.ReadLine(Patience)
}
