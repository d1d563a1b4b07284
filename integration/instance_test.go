package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"prefork/internal/testdir"
)

func TestSecondMasterReportsTheHolderOfThePIDFile(t *testing.T) {
	c := line(1)
	c.PIDFile = filepath.Join(testdir.Short(t), "pid")
	first := Start(t, c)
	text, err := os.ReadFile(c.PIDFile)
	if err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(first.PID) {
		t.Errorf("pid file %q, %v; want %d", text, err, first.PID)
	}
	second := Launch(t, c)
	if code := second.WaitExit(); code != 1 {
		t.Errorf("exit status %d of the second master", code)
	}
	second.Log.WaitText(t, fmt.Sprint(first.PID))
	network, address := first.Address("")
	if answer, err := Asks(network, address, "upper still here"); answer != "STILL HERE" {
		t.Error(answer, err)
	}
	first.Signal(syscall.SIGTERM)
	first.WaitExit()
	if _, err := os.Stat(c.PIDFile); !os.IsNotExist(err) {
		t.Errorf("the pid file is left behind: %v", err)
	}
}

// The lock on the file, not the file, shows that a master is running.
func TestPIDFileOfADeadMasterIsTakenOver(t *testing.T) {
	c := line(1)
	c.PIDFile = filepath.Join(testdir.Short(t), "pid")
	first := Start(t, c)
	first.Kill()
	second := Start(t, c)
	if text, err := os.ReadFile(c.PIDFile); err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(second.PID) {
		t.Errorf("pid file %q, %v; want %d", text, err, second.PID)
	}
}

func TestStaleUnixSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "socket")
	// The socket file of a server that died without removing it.
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()

	c := line(1)
	c.Listen = []string{"unix://" + path + "?mode=0660"}
	first := Start(t, c)
	if answer, err := Asks("unix", path, "upper mine"); answer != "MINE" {
		t.Fatal(answer, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket's mode: %v, %v", info, err)
	}
	second := Launch(t, c)
	if code := second.WaitExit(); code == 0 {
		t.Error("a second master started on a socket that is in use")
	}
	second.Log.WaitText(t, path)
	if answer, err := Asks("unix", path, "upper still mine"); answer != "STILL MINE" {
		t.Error(answer, err)
	}
	first.Signal(syscall.SIGTERM)
	first.WaitExit()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestRegularFileAtASocketPathIsNotRemoved(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := line(1)
	c.Listen = []string{"unix://" + path}
	s := Launch(t, c)
	if code := s.WaitExit(); code == 0 {
		t.Error("the server started although a regular file has its path")
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "data" {
		t.Errorf("the file: %q, %v", data, err)
	}
}

func TestControlSocketIsPrivateToItsOwner(t *testing.T) {
	s := Start(t, line(1))
	path := filepath.Join(s.Dir, "control")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info, err)
	}
	s.Signal(syscall.SIGTERM)
	s.WaitExit()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the control socket is left behind: %v", err)
	}
}

// IPv6, IPv4, both on one socket, and an abstract Unix socket.
func TestServesEveryKindOfAddress(t *testing.T) {
	abstract := fmt.Sprintf("@prefork-test-%d", os.Getpid())
	c := line(1)
	c.Listen = []string{"tcp4://127.0.0.1:0", ":0", "unix:" + abstract}
	six := hasIPv6()
	if six {
		c.Listen = append(c.Listen, "tcp6://[::1]:0")
	}
	s := Start(t, c)
	status, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Listeners) != len(c.Listen) {
		t.Fatalf("listeners %+v", status.Listeners)
	}
	for _, l := range status.Listeners {
		network, address := Network(l.Address)
		targets := []string{address}
		if host, port, err := net.SplitHostPort(address); err == nil && (host == "" || host == "::") {
			targets = []string{"127.0.0.1:" + port}
			if six {
				targets = append(targets, "[::1]:"+port)
			}
		}
		for _, target := range targets {
			if answer, err := Asks(network, target, "upper hello"); answer != "HELLO" {
				t.Errorf("%s at %s: %q, %v", l.Name, target, answer, err)
			}
		}
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
