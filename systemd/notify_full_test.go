package systemd_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/systemd"
)

// deafManager opens a notification socket that is never read.
func deafManager(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// fill sends until the manager's queue is full.
func fill(t *testing.T, n *systemd.Notifier) {
	t.Helper()
	const most = 1 << 16 // beyond any net.unix.max_dgram_qlen
	for range most {
		if err := n.Watchdog(); errors.Is(err, systemd.ErrBusy) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("the queue is not full after %d messages", most)
}

func TestAManagerThatDoesNotReadDoesNotBlockTheSender(t *testing.T) {
	checkDescriptors(t)
	path := filepath.Join(testdir.Short(t), "s")
	deafManager(t, path)
	n, err := systemd.NewNotifierTo(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	n.Wait = -1
	fill(t, n)
	n.Wait = 5 * time.Millisecond
	if err := n.Ready(""); !errors.Is(err, systemd.ErrBusy) {
		t.Errorf("got error %v, want ErrBusy", err)
	}
}

func TestAMessageWaitsForRoomWithinItsTime(t *testing.T) {
	checkDescriptors(t)
	path := filepath.Join(testdir.Short(t), "s")
	manager := deafManager(t, path)
	n, err := systemd.NewNotifierTo(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	n.Wait = -1
	fill(t, n)
	n.Wait = patience
	sent := make(chan error, 1)
	go func() { sent <- n.Ready("") }()
	for buf := make([]byte, 64); ; {
		if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		k, err := manager.Read(buf)
		if err != nil {
			t.Fatalf("READY=1 was not received: %v", err)
		}
		if string(buf[:k]) == "READY=1" {
			break
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestANewSocketOfTheManagerIsFound(t *testing.T) {
	checkDescriptors(t)
	path := filepath.Join(testdir.Short(t), "s")
	first := deafManager(t, path)
	n, err := systemd.NewNotifierTo(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	_ = first.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Ready(""); !errors.Is(err, unix.ENOENT) {
			t.Errorf("without a manager: got error %v, want ENOENT", err)
		}
	}
	second := deafManager(t, path)
	if err := n.Ready(""); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if err := second.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if k, err := second.Read(buf); err != nil || string(buf[:k]) != "READY=1" {
		t.Errorf("the new manager got %q, %v", buf[:k], err)
	}
}
