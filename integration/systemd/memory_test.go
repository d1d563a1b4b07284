package systemd

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"prefork/integration/testconf"
)

// canLimitMemory reports whether the container's systemd can limit memory. It
// cannot if the machine's memory controller is in a version 1 hierarchy.
func canLimitMemory(m *Machine) bool {
	out, err := m.Run(context.Background(), "cat", "/sys/fs/cgroup/cgroup.controllers")
	return err == nil && strings.Contains(out, "memory")
}

func TestAWorkerKilledForMemoryDoesNotStopTheUnit(t *testing.T) {
	m := here(t)
	s := instance(t, m, "memory", "")
	s.testServer(testconf.Config{}, "MemoryMax=200M\nMemorySwapMax=0\n")
	s.Start()
	master, before := s.MainPID(), s.WaitWorkers(2)
	if canLimitMemory(m) {
		conn, err := m.Dial("tcp", s.Address, answerTime)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "leak 400\n"); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Log("the container has no memory controller: the test sends SIGKILL, as the kernel would")
		s.Kill("KILL", before.Workers[0].PID)
	}
	await(t, "another worker", func() (bool, string) {
		now, err := s.Status()
		if err != nil {
			return false, err.Error()
		}
		ready := 0
		for _, w := range now.Workers {
			if w.State == "ready" {
				ready++
			}
		}
		return now.Totals.Restarts == 1 && ready == 2, fmt.Sprint(now.Workers)
	})
	s.WaitJournal("worker exited", `"signal":9`)
	if pid, state, n := s.MainPID(), s.Property("ActiveState"), s.Property("NRestarts"); pid != master || state != "active" || n != "0" {
		t.Errorf("master %d is now %d, state %s, %s restarts; want no change", master, pid, state, n)
	}
	if policy := s.Property("OOMPolicy"); policy != "continue" {
		t.Errorf("OOMPolicy=%s", policy)
	}
}
