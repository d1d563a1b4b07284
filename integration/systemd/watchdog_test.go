package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/integration/testconf"
)

// another waits for a new master that serves, and fails if the old one's
// workers stay.
func (s *Service) another(master int, old []int) {
	s.t.Helper()
	await(s.t, "another master", func() (bool, string) {
		pid := s.MainPID()
		return pid != 0 && pid != master && s.Property("ActiveState") == "active", fmt.Sprint(pid)
	})
	s.WaitWorkers(2)
	await(s.t, "the end of the old incarnation", func() (bool, string) {
		left := slices.DeleteFunc(s.Processes(), func(pid int) bool { return !slices.Contains(old, pid) })
		return len(left) == 0, fmt.Sprint(left)
	})
}

// impatient is a watchdog that these tests can wait for, and that a machine
// which stands still for some seconds does not set off.
const impatient = "[Service]\nWatchdogSec=12s\nTimeoutAbortSec=1s\n"

func TestAMasterThatHangsIsReplacedByTheWatchdog(t *testing.T) {
	s := instance(t, here(t), "watchdog", "")
	s.DropIn(impatient)
	s.Start()
	s.WaitWorkers(2)
	master, old := s.MainPID(), s.Processes()
	load := s.Load(2, 1)
	s.Kill("STOP", master)
	s.another(master, old)
	s.Served(load, 20)
	if tally := load.Stop(); tally.Bad() != 0 {
		t.Errorf("failed: %v", tally) // the workers served on until the new one's took over
	}
	s.WaitJournal("Watchdog timeout (limit 12s)!")
	if n := s.Property("NRestarts"); n != "1" {
		t.Errorf("%s restarts", n)
	}
}

// Nobody but the watchdog would notice: the master's own patience with silent
// workers is switched off.
func TestAQuorumOfHungWorkersIsReplacedByTheWatchdog(t *testing.T) {
	s := instance(t, here(t), "quorum", "[timeouts]\nworker_timeout = \"0s\"\ndrain_timeout = \"1s\"")
	s.DropIn(impatient)
	s.Start()
	status := s.WaitWorkers(2)
	master, old := s.MainPID(), s.Processes()
	for _, w := range status.Workers {
		s.Kill("STOP", w.PID)
	}
	s.WaitJournal("Watchdog timeout (limit 12s)!")
	s.another(master, old)
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
	for hang := map[int]bool{}; len(hang) < 2; {
		hang[s.wedge()] = true // the other one answers once this one hangs
	}
	await(t, "other workers", func() (bool, string) {
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
		t.Errorf("master %d became %d in %s restarts", master, pid, n)
	}
	for _, e := range s.Journal() {
		if text, _ := e["MESSAGE"].(string); strings.Contains(text, "Watchdog timeout") {
			t.Error(text)
		}
	}
}
