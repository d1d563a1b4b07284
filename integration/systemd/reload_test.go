package systemd

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestReloadTwentyTimesUnderLoadLosesNothing(t *testing.T) {
	s := instance(t, here(t), "reload", "[reload]\nprobation = \"100ms\"")
	s.Start()
	s.WaitWorkers(2)
	master := s.MainPID()
	load, persistent := s.Load(4, 1), s.Load(2, 20)
	for i := range 20 {
		if out, err := s.Systemctl("reload"); err != nil {
			t.Fatalf("reload %d: %v\n%s", i+1, err, out)
		}
		s.Served(load, 5)
	}
	for _, c := range []*Clients{load, persistent} {
		if tally := c.Stop(); tally.Bad() != 0 {
			t.Errorf("failed: %v", tally)
		}
	}
	status := s.WaitWorkers(2)
	if status.Generation != 21 || s.MainPID() != master {
		t.Errorf("generation %d, master %d, want 21 and %d", status.Generation, s.MainPID(), master)
	}
	if state := s.Property("ActiveState"); state != "active" {
		t.Errorf("state %q", state)
	}
}

// TimeoutStartSec= also bounds a reload. If the probation is longer, the server
// asks systemd for more time.
func TestAReloadMayTakeLongerThanTimeoutStartSec(t *testing.T) {
	s := instance(t, here(t), "patient", "[reload]\nprobation = \"12s\"")
	s.DropIn("[Service]\nTimeoutStartSec=8s\n")
	s.Start()
	s.WaitWorkers(2)
	if out, err := s.Systemctl("reload"); err != nil {
		t.Errorf("reload: %v\n%s", err, out)
	}
	if status := s.WaitWorkers(2); status.Generation != 2 {
		t.Errorf("generation %d, want 2", status.Generation)
	}
}

func TestAFailedReloadReportsWhyAndTheOldGenerationServes(t *testing.T) {
	for name, config := range map[string]string{
		"refused by the master":  "mode = \"thread\\\\ing\"", // systemctl must show the backslash
		"refused by the workers": "handler = \"http\"\n[options]\nroot = \"/nowhere\"",
		"an unavailable address": "pid_file = \"\"",
	} {
		t.Run(name, func(t *testing.T) {
			s := instance(t, here(t), "broken", "")
			s.Start()
			before := s.WaitWorkers(2)
			load := s.Load(4, 1)
			s.Configure(config)
			want := "/nowhere: no such file or directory"
			switch {
			case strings.HasPrefix(config, "mode"):
				want = `unknown mode "thread\\ing"`
			case strings.HasPrefix(config, "pid_file"):
				s.write(s.ConfigPath(), "listen = [\"tcp://"+s.Address+"\", \"tcp://192.0.2.1:1\"]\n")
				want = "cannot assign requested address"
			}
			out, err := s.Systemctl("reload")
			if exitCode(err) == 0 {
				t.Errorf("the reload succeeded: %s", out)
			}
			if state := s.Property("ActiveState"); state != "active" {
				t.Errorf("state %q", state)
			}
			await(t, "the reason in the status line", func() (bool, string) {
				text := s.Property("StatusText")
				return strings.Contains(text, want), text
			})
			if status := s.Shown(); !strings.Contains(status, want) || !strings.Contains(status, "ExecReload=") {
				t.Errorf("systemctl status does not say %q:\n%s", want, status)
			}
			s.Served(load, 20)
			if tally := load.Stop(); tally.Bad() != 0 {
				t.Errorf("failed: %v", tally)
			}
			after := s.WaitWorkers(2)
			if after.Generation != before.Generation || after.PID != before.PID {
				t.Errorf("generation %d of master %d is now %d of %d; want no change", before.Generation, before.PID, after.Generation, after.PID)
			}
			// A reload of a correct configuration succeeds.
			s.Configure("")
			if _, err := s.Systemctl("reload"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAListenerIsStoredWhileItIsConfigured(t *testing.T) {
	m := here(t)
	s := instance(t, m, "store", "[reload]\nprobation = \"100ms\"")
	s.Start()
	s.WaitProperty("NFileDescriptorStore", "1")
	unix := "unix:///run/prefork-store/lines.sock"
	s.write(s.ConfigPath(), "listen = [\"tcp://"+s.Address+"\", \""+unix+"\"]\n[reload]\nprobation = \"100ms\"\n")
	if _, err := s.Systemctl("reload"); err != nil {
		t.Fatal(err)
	}
	s.WaitProperty("NFileDescriptorStore", "2")
	s.write(s.ConfigPath(), "listen = [\""+unix+"\"]\n[reload]\nprobation = \"100ms\"\n")
	if _, err := s.Systemctl("reload"); err != nil {
		t.Fatal(err)
	}
	s.WaitProperty("NFileDescriptorStore", "1")
	await(t, "the address that the reload dropped to be closed", func() (bool, string) {
		conn, err := m.Dial("tcp", s.Address, answerTime)
		if err == nil {
			_ = conn.Close()
			return false, "it answers"
		}
		return errors.Is(err, syscall.ECONNREFUSED), err.Error()
	})

	// The Unix listener outlives its master too.
	load := (&Clients{Machine: m, Network: "unix", Address: "/run/prefork-store/lines.sock", Count: 2}).Start()
	defer load.Stop()
	served(t, load, 20)
	master := s.MainPID()
	s.Kill("KILL", master)
	await(t, "another master", func() (bool, string) {
		pid := s.Property("MainPID")
		return pid != "0" && pid != strconv.Itoa(master), pid
	})
	served(t, load, 50)
	if tally := load.Stop(); tally.Bad() != 0 {
		t.Errorf("failed: %v", tally)
	}
	if _, err := s.Systemctl("stop"); err != nil {
		t.Error(err)
	}
	s.WaitProperty("NFileDescriptorStore", "0")
}
