package systemd

import (
	"strings"
	"testing"
	"time"

	"prefork/integration"
)

// The requests take longer than TimeoutStopSec=, which a drop-in shortens. The
// server asks systemd for more time.
func TestAStopWaitsForRequestsLongerThanTimeoutStopSec(t *testing.T) {
	s := instance(t, here(t), "stop", "[timeouts]\ndrain_timeout = \"5m\"")
	s.DropIn("[Service]\nTimeoutStopSec=15s\n")
	s.Start()
	s.WaitWorkers(2)
	timeout := time.Duration(s.microseconds("Service", "TimeoutStopUSec")) * time.Microsecond
	requests := []*Request{s.Begin(), s.Begin(), s.Begin()}
	stopped := make(chan error, 1)
	go func() {
		_, err := s.Systemctl("stop")
		stopped <- err
	}()
	s.WaitProperty("ActiveState", "deactivating")
	begun := time.Now()
	if saw, ok := integration.WaitFor(timeout+time.Minute, func() (bool, string) {
		return time.Since(begun) > timeout+5*time.Second, s.Property("ActiveState")
	}); !ok {
		t.Fatalf("the stop ended early: %s", saw)
	}
	if state, text := s.Property("ActiveState"), s.Property("StatusText"); state != "deactivating" || !strings.Contains(text, "3 active") {
		t.Errorf("after %v: state %q, status %q", timeout, state, text)
	}
	for _, r := range requests {
		if err := r.Finish(); err != nil {
			t.Errorf("a request of %v: %v", r.Age().Round(time.Second), err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if state, result := s.Property("ActiveState"), s.Property("Result"); state != "inactive" || result != "success" {
		t.Errorf("state %q, result %q", state, result)
	}
	if left := s.Processes(); len(left) > 0 {
		t.Errorf("left in the cgroup: %v", left)
	}
	if n := s.Property("NFileDescriptorStore"); n != "0" {
		t.Errorf("%s descriptors in the store", n)
	}
	if out := s.m.try("ls", "/run/prefork-stop/"); !strings.Contains(out, "No such file") {
		t.Errorf("left in the runtime directory: %s", out)
	}
}

// Between stop and start the listener stays in systemd's store and drops new
// handshakes. The client's kernel repeats its SYN a second later.
func TestARestartUnderLoadRefusesNoConnection(t *testing.T) {
	s := instance(t, here(t), "restart", "")
	s.Start()
	load := s.Load(4, 1)
	master := s.MainPID()
	for range 3 {
		if _, err := s.Systemctl("restart"); err != nil {
			t.Fatal(err)
		}
		s.Served(load, 20)
	}
	if tally := load.Stop(); tally.Bad() != 0 {
		t.Errorf("failed: %v", tally)
	}
	if pid := s.MainPID(); pid == master {
		t.Error("the master is the same")
	}
}

// After a stop, new connects are refused. Open connections are answered.
func TestAStopUnderLoadAnswersOpenConnections(t *testing.T) {
	s := instance(t, here(t), "stopload", "")
	for range 3 {
		s.Start()
		load := s.Load(4, 1)
		if _, err := s.Systemctl("stop"); err != nil {
			t.Fatal(err)
		}
		await(t, "the address to be closed", func() (bool, string) {
			return load.Tally().Count(integration.NoListener) > 0, load.Tally().String()
		})
		if tally := load.Stop(); tally.Lost() != 0 {
			t.Errorf("lost: %v", tally)
		}
	}
}
