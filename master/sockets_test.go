package master

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
)

func TestSocketsOfTheServiceManagerSurviveClose(t *testing.T) {
	s := &Sockets{passed: passedFrom(t, "tcp://127.0.0.1:0")}
	want := s.passed.units["web"][0]
	for range 2 {
		got, err := s.Open(context.Background(), []string{"systemd:web"}, 0, false)
		if err != nil || len(got) != 1 || got[0].FD != want.fd {
			t.Fatalf("opened %v, %v; want the unit's socket, %d", got, err, want.fd)
		}
		s.Close()
		c, err := net.Dial("tcp", want.address)
		if err != nil {
			t.Fatalf("dialing after Close: %v", err)
		}
		defer c.Close()
	}
	if n := acceptAll(t, want); n != 2 {
		t.Errorf("%d connections waited for the next Open, want 2", n)
	}
}

func TestSocketsCloseStoredSocketsThatTheyDoNotUse(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	used, err := tryBind("unix://" + path) // s closes it and the other
	if err != nil {
		t.Fatal(err)
	}
	unused, err := tryBind("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	used.stored, unused.stored = true, true
	before := countFDs(t)
	s := &Sockets{passed: &passedSockets{stored: map[string]*listener{used.storeKey(): used, unused.storeKey(): unused}}}
	if _, err := s.Open(context.Background(), []string{used.storeKey(), "tcp://127.0.0.1:x"}, 0, false); err == nil {
		t.Fatal("opened what is no address")
	}
	if n := countFDs(t); n != before {
		t.Errorf("%d descriptors after a failure, want %d: it may be tried again", n, before)
	}
	got, err := s.Open(context.Background(), []string{used.storeKey()}, 0, false)
	if err != nil || len(got) != 1 || got[0].FD != used.fd {
		t.Fatalf("opened %v, %v; want the stored socket, %d", got, err, used.fd)
	}
	if n := countFDs(t); n != before-1 {
		t.Errorf("%d descriptors, want %d: the other is not used", n, before-1)
	}
	s.Close()
	if n := countFDs(t); n != before-2 {
		t.Errorf("%d descriptors after Close, want %d", n, before-2)
	}
	if err := unix.Access(path, unix.F_OK); err != unix.ENOENT {
		t.Errorf("the file after Close: %v", err)
	}
}
