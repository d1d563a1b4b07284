package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"prefork/internal/testdir"
)

// After mv and USR1, the new file gets the lines of the master and what a worker
// writes to its standard error.
func TestUSR1ReopensTheLogFile(t *testing.T) {
	c := line(2)
	c.LogFile = filepath.Join(testdir.Short(t), "server.log")
	s := Start(t, c)
	rotated := c.LogFile + ".1"
	log, old := NewLog(c.LogFile), NewLog(rotated)
	client := s.Dial()
	client.Ask("say before the rotation")
	log.WaitText(t, "before the rotation")
	if err := os.Rename(c.LogFile, rotated); err != nil {
		t.Fatal(err)
	}
	client.Ask("say into the old file still")
	old.WaitText(t, "into the old file still")

	s.Signal(syscall.SIGUSR1)
	log.WaitText(t, "log file reopened")
	Wait(t, "the worker to write into the new file", func() (bool, string) {
		client.Ask("say from the worker")
		return strings.Contains(log.Text(), "from the worker"), log.Text()
	})
	s.Do("scale?n=3") // a log line of the master, and a new worker
	pid := 0
	for _, w := range s.WaitWorkers(3).Workers {
		pid = max(pid, w.PID)
	}
	kill(t, pid, syscall.SIGKILL)
	log.WaitText(t, "worker exited")
	if text := old.Text(); strings.Contains(text, "worker exited") || strings.Contains(text, "log file reopened") {
		t.Error("new lines in the old file")
	}
}

// The reader of a named pipe may exit.
func TestUSR1DoesNotWaitForAReaderOfTheLog(t *testing.T) {
	c := line(1)
	c.LogFile = filepath.Join(testdir.Short(t), "pipe")
	if err := syscall.Mkfifo(c.LogFile, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(c.LogFile, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	s := Start(t, c)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGUSR1)
	if answer := s.Dial().Ask("upper alive"); answer != "ALIVE" {
		t.Error(answer)
	}
	s.Do("scale?n=2")
	s.WaitWorkers(2)
}

func TestUSR2AndPIPEAreIgnored(t *testing.T) {
	s := Start(t, line(1))
	s.Signal(syscall.SIGUSR2)
	s.Signal(syscall.SIGPIPE)
	s.Signal(syscall.SIGUSR1) // no log file to reopen
	if answer := s.Dial().Ask("upper alive"); answer != "ALIVE" {
		t.Error(answer)
	}
	s.WaitWorkers(1)
}

func TestLogRecordsEveryTransition(t *testing.T) {
	c := line(2)
	c.LogLevel = "info"
	s := Start(t, c)
	s.Do("reload")
	c.Error = "no such thing"
	s.Configure(c)
	if _, err := s.Command("reload"); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGTERM)
	s.WaitExit()
	lines := s.Log.Lines()
	text := s.Log.Text()
	if n := strings.Count(strings.TrimSpace(text), "\n") + 1; n != len(lines) {
		t.Errorf("%d of %d lines are not JSON objects:\n%s", n-len(lines), n, text)
	}
	for _, want := range []string{"listening", "signal received", "no such thing"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q:\n%s", want, text)
		}
	}
	for _, line := range lines {
		if line["level"] == "error" && line["msg"] != "reload failed" {
			t.Errorf("unexpected error: %v", line)
		}
	}
}

// A signal to every process of the server also reaches workers that have just
// been started. It must not fail a reload.
func TestSignalsToStartingWorkersDoNotFailAReload(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			s := Start(t, line(2))
			old := map[int]bool{}
			for range times(5) {
				for _, w := range s.WaitWorkers(2).Workers {
					old[w.PID] = true
				}
				reloaded := make(chan error, 1)
				go func() {
					a, err := s.Command("reload")
					if err == nil && !a.OK {
						err = errors.New(a.Error)
					}
					reloaded <- err
				}()
				hit := map[int]int{}
				for done := false; !done; {
					for _, pid := range Children(s.PID) {
						// TERM kills a starting worker or drains it. If every new worker is
						// killed, the reload must fail. So TERM is sent once to a few.
						term := sig == syscall.SIGTERM
						if old[pid] || hit[pid] == 3 || term && (hit[pid] == 1 || len(hit) == 4) {
							continue
						}
						hit[pid]++
						_ = syscall.Kill(pid, sig) // may have exited
					}
					select {
					case err := <-reloaded:
						if err != nil {
							t.Fatalf("reload: %v", err)
						}
						done = true
					default:
					}
				}
				if len(hit) < 2 {
					t.Errorf("only %d new workers got the signal", len(hit))
				}
			}
			if sig != syscall.SIGTERM {
				if n := s.Log.Count("msg", "worker exited", "signal", float64(sig)); n != 0 {
					t.Errorf("%s killed %d workers", sig, n)
				}
			}
		})
	}
}
