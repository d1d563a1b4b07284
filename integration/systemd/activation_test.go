package systemd

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

// socketUnit writes a socket unit for the service and starts it.
func (s *Service) socketUnit(name, lines string) {
	s.t.Helper()
	path := "/run/systemd/system/" + name
	s.write(path, "[Socket]\n"+lines+"\nService="+s.Unit+"\n")
	s.m.must(s.t, "systemctl", "daemon-reload")
	s.m.must(s.t, "systemctl", "start", name)
	s.t.Cleanup(func() {
		s.m.try("systemctl", "stop", s.Unit, name)
		s.m.try("rm", path)
	})
}

func TestTheInstalledSocketUnitServesTheInstalledConfiguration(t *testing.T) {
	s := installed(t, here(t))
	s.m.must(t, "systemctl", "start", "prefork.socket")
	t.Cleanup(func() { s.m.try("systemctl", "stop", "prefork.service", "prefork.socket") })
	if state := s.Property("ActiveState"); state != "inactive" {
		t.Fatalf("the service is %s before the first connection", state)
	}
	if err := s.Ask(); err != nil { // systemd starts the service for this connection
		t.Fatal(err)
	}
	s.WaitProperty("ActiveState", "active")
	for _, e := range s.Journal("-p", "warning") {
		// The server repeats a notification that a busy systemd did not read.
		if e.text("PREFORK_MESSAGE") != "service manager not notified" {
			t.Errorf("warning in the journal: %v", e["MESSAGE"])
		}
	}
	if n := s.Property("NFileDescriptorStore"); n != "0" {
		t.Errorf("%s descriptors in the store, want none: the socket unit keeps the listener", n)
	}
}

func TestConnectionsMadeBeforeTheFirstStartAreAnswered(t *testing.T) {
	s := instance(t, here(t), "early", "")
	s.write(s.ConfigPath(), "listen = [\"systemd:lines\"]\nworkers = 2\n")
	// The service cannot start until all clients have connected.
	s.DropIn("[Unit]\nAssertPathExists=/run/prefork-early-go\n[Service]\nSockets=early.socket\n")
	s.socketUnit("early.socket", "ListenStream="+s.Address+"\nFileDescriptorName=lines\nTriggerLimitIntervalSec=0")
	t.Cleanup(func() { s.m.try("rm", "-f", "/run/prefork-early-go") })
	const clients = 10
	answers := make(chan error, clients)
	for range clients {
		conn, err := s.m.Dial("tcp", s.Address, answerTime)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "early\n"); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer conn.Close()
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				answers <- err
				return
			}
			answers <- expect(bufio.NewReader(conn), "EARLY\n")
		}()
	}
	s.write("/run/prefork-early-go", "")
	s.m.must(t, "systemctl", "start", s.Unit)
	for range clients {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

func TestStopAndStartUnderASocketUnitRefuseNoConnection(t *testing.T) {
	s := instance(t, here(t), "socket", "")
	s.DropIn("[Service]\nSockets=socket.socket\n")
	s.socketUnit("socket.socket", "ListenStream="+s.Address+"\nFileDescriptorName=socket")
	load := s.Load(4, 1)
	masters := map[int]bool{s.MainPID(): true}
	for range 3 {
		// A client connects at once, so systemd may start the service first.
		if _, err := s.Systemctl("stop"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Systemctl("start"); err != nil {
			t.Fatal(err)
		}
		s.Served(load, 20)
		masters[s.MainPID()] = true
	}
	if tally := load.Stop(); tally.Bad() != 0 {
		t.Errorf("failed: %v", tally)
	}
	if len(masters) != 4 {
		t.Errorf("%d masters, want 4", len(masters))
	}
}

func TestTwoNamedSocketsReachTheirListeners(t *testing.T) {
	s := instance(t, here(t), "named", "")
	second := s.Port + 1000
	s.write(s.ConfigPath(), "listen = [\"systemd:second\", \"systemd:first\"]\nworkers = 1\n")
	s.DropIn("[Service]\nSockets=named-1.socket named-2.socket\n")
	s.socketUnit("named-1.socket", fmt.Sprintf("ListenStream=%s\nFileDescriptorName=first", s.Address))
	s.socketUnit("named-2.socket", fmt.Sprintf("ListenStream=127.0.0.1:%d\nFileDescriptorName=second", second))
	s.Start()
	status := s.WaitWorkers(1)
	got := map[string]string{}
	for _, l := range status.Listeners {
		got[l.Name] = l.Address
	}
	want := map[string]string{"systemd:first": s.Address, "systemd:second": "127.0.0.1:" + strconv.Itoa(second)}
	for name, address := range want {
		if got[name] != address {
			t.Errorf("listener %s has %q, want %q", name, got[name], address)
		}
		conn, err := s.m.Dial("tcp", address, answerTime)
		if err != nil {
			t.Fatal(err)
		}
		if err := exchange(conn, bufio.NewReader(conn)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
	}
}

// Only the server can answer a client of a systemd socket, so all sockets that
// systemd passes are served by default.
func TestWithoutListenTheSocketsOfSystemdAreServed(t *testing.T) {
	s := instance(t, here(t), "adopted", "")
	s.write(s.ConfigPath(), "workers = 1\n")
	s.DropIn("[Service]\nSockets=adopted.socket\n")
	s.socketUnit("adopted.socket", "ListenStream="+s.Address+"\nFileDescriptorName=web")
	if err := s.Ask(); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Systemctl("reload"); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	if err := s.Ask(); err != nil {
		t.Error(err)
	}
	status := s.WaitWorkers(1)
	if len(status.Listeners) != 1 || status.Listeners[0].Name != "systemd:web" || status.Listeners[0].Address != s.Address {
		t.Errorf("listeners %+v, want only systemd:web at %s", status.Listeners, s.Address)
	}
}

func TestAMissingSystemdSocketIsAConfigurationError(t *testing.T) {
	s := instance(t, here(t), "missing", "")
	s.write(s.ConfigPath(), "listen = [\"systemd:missing\"]\n")
	if _, err := s.Systemctl("start"); exitCode(err) == 0 {
		t.Fatal("the start succeeded")
	}
	s.WaitProperty("ActiveState", "failed")
	status := s.Shown()
	if code := s.Property("ExecMainStatus"); code != "78" || !strings.Contains(status, "start through the socket unit") {
		t.Errorf("exit status %s:\n%s", code, status)
	}
}
