package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/integration/testconf"
)

// waitNewMaster waits until a new master serves and the old processes have
// exited.
func (s *Service) waitNewMaster(master int, old []int) {
	s.t.Helper()
	await(s.t, "another master", func() (bool, string) {
		pid := s.MainPID()
		return pid != 0 && pid != master && s.Property("ActiveState") == "active", fmt.Sprint(pid)
	})
	s.WaitWorkers(2)
	await(s.t, "the old processes to exit", func() (bool, string) {
		left := slices.DeleteFunc(s.Processes(), func(pid int) bool { return !slices.Contains(old, pid) })
		return len(left) == 0, fmt.Sprint(left)
	})
}

// shortWatchdog is a watchdog short enough for a test, but longer than a loaded
// machine stalls.
const shortWatchdog = "[Service]\nWatchdogSec=12s\nTimeoutAbortSec=1s\n"

func TestAMasterThatHangsIsReplacedByTheWatchdog(t *testing.T) {
	s := instance(t, here(t), "watchdog", "")
	s.DropIn(shortWatchdog)
	s.Start()
	s.WaitWorkers(2)
	master, old := s.MainPID(), s.Processes()
	load := s.Load(2, 1)
	s.Kill("STOP", master)
	s.waitNewMaster(master, old)
	s.Served(load, 20)
	if tally := load.Stop(); tally.Bad() != 0 {
		t.Errorf("failed: %v", tally) // the old workers serve until the new ones are ready
	}
	s.WaitJournal("Watchdog timeout (limit 12s)!")
	if n := s.Property("NRestarts"); n != "1" {
		t.Errorf("%s restarts", n)
	}
}

// The master's worker timeout is off, so only the watchdog can notice.
func TestAQuorumOfHungWorkersIsReplacedByTheWatchdog(t *testing.T) {
	s := instance(t, here(t), "quorum", "[timeouts]\nworker_timeout = \"0s\"\ndrain_timeout = \"1s\"")
	s.DropIn(shortWatchdog)
	s.Start()
	status := s.WaitWorkers(2)
	master, old := s.MainPID(), s.Processes()
	for _, w := range status.Workers {
		s.Kill("STOP", w.PID)
	}
	s.WaitJournal("Watchdog timeout (limit 12s)!")
	s.waitNewMaster(master, old)
	if err := s.Ask(); err != nil {
		t.Error(err)
	}
}

func TestHungWorkersAreReplacedBeforeTheWatchdogFires(t *testing.T) {
	s := instance(t, here(t), "hang", "")
	s.testServer(testconf.Config{WorkerTimeout: 5 * time.Second}, "WatchdogSec=60s\n")
	s.Start()
	status := s.WaitWorkers(2)
	master := s.MainPID()
	for hung := map[int]bool{}; len(hung) < 2; {
		hung[s.hangWorker()] = true // the next connection goes to the other worker
	}
	await(t, "two new workers", func() (bool, string) {
		now, err := s.Status()
		if err != nil {
			return false, err.Error()
		}
		for _, w := range now.Workers {
			if w.PID == status.Workers[0].PID || w.PID == status.Workers[1].PID || w.State != "ready" {
				return false, fmt.Sprint(now.Workers)
			}
		}
		return len(now.Workers) == 2, fmt.Sprint(now.Workers)
	})
	s.WaitJournal("worker exited", "hung")
	if pid, n := s.MainPID(), s.Property("NRestarts"); pid != master || n != "0" {
		t.Errorf("master %d is now %d after %s restarts; want no change", master, pid, n)
	}
	for _, e := range s.Journal() {
		if text, _ := e["MESSAGE"].(string); strings.Contains(text, "Watchdog timeout") {
			t.Error(text)
		}
	}
}
