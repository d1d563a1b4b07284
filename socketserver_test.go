package prefork_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork"
	"prefork/worker"
)

// These tests cover the rows of docs/socketserver.md about Server. Package
// worker tests the others.

// greet answers and closes.
var greet = worker.HandlerFunc(func(_ context.Context, c *worker.Conn) error {
	_, err := io.WriteString(c, "hello\n")
	return err
})

// handleOne calls HandleRequest and returns a channel for its result.
func handleOne(t *testing.T, srv *prefork.Server) chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- srv.HandleRequest(t.Context()) }()
	t.Cleanup(func() { _ = srv.Close() })
	return done
}

// greeting checks that c receives what greet sends and closes c.
func greeting(c net.Conn) error {
	defer c.Close()
	got, err := io.ReadAll(c)
	if err == nil && string(got) != "hello\n" {
		err = fmt.Errorf("got %q", got)
	}
	return err
}

func TestHandleRequestServesExactlyOneConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	srv := &prefork.Server{Config: prefork.Config{Listen: []string{"unix://" + path}}, Handler: greet}
	done := handleOne(t, srv)
	first, err := dial("unix", path, done)
	if err != nil {
		t.Fatal(err)
	}
	if err := greeting(first); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
	second, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("connect between two calls: %v", err)
	}
	if err := srv.HandleRequest(t.Context()); err != nil {
		t.Errorf("the second HandleRequest: %v", err)
	}
	if err := greeting(second); err != nil {
		t.Errorf("client that connected between two calls: %v", err)
	}
}

func TestHandleRequestInALoopAnswersEveryClient(t *testing.T) {
	const clients, each = 4, 20
	for name, goroutines := range map[string]int{"one loop": 1, "several": 3} {
		address := freePort(t)
		srv := &prefork.Server{Config: prefork.Config{Listen: []string{"tcp://" + address}}, Handler: greet}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		served, ended := make(chan error), make(chan struct{})
		for range goroutines {
			go func() {
				for {
					err := srv.HandleRequest(ctx)
					select {
					case served <- err:
					case <-ended:
						return
					}
				}
			}()
		}
		bound := make(chan error, 1)
		probe, err := dial("tcp", address, bound)
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan error)
		go func() { answered <- greeting(probe) }()
		for range clients {
			go func() {
				for range each {
					c, err := net.DialTimeout("tcp", address, patience)
					if err == nil {
						_ = c.SetDeadline(time.Now().Add(patience))
						err = greeting(c)
					}
					answered <- err
				}
			}()
		}
		want := clients*each + 1
		for answers, calls := 0, 0; answers < want || calls < want; {
			select {
			case err := <-answered:
				if answers++; err != nil {
					t.Errorf("%s: a client: %v", name, err)
				}
			case err := <-served:
				if calls++; err != nil {
					t.Fatalf("%s: HandleRequest: %v", name, err)
				}
			}
		}
		close(ended)
		_ = srv.Close()
	}
}

func TestHandleRequestAcceptsFromAllListenersInTurn(t *testing.T) {
	dir := t.TempDir()
	busy, quiet := filepath.Join(dir, "busy"), filepath.Join(dir, "quiet")
	srv := &prefork.Server{
		Config: prefork.Config{
			Listen:  []string{"unix://" + busy, "unix://" + quiet},
			Timeout: time.Millisecond,
		},
		Handler: greet,
	}
	if err := srv.HandleRequest(t.Context()); err != nil { // binds the listeners
		t.Fatal(err)
	}
	defer srv.Close()
	for range 3 {
		c, err := net.Dial("unix", busy)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := net.Dial("unix", quiet)
	if err != nil {
		t.Fatal(err)
	}
	srv.Timeout = 0
	for range 2 {
		if err := srv.HandleRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := greeting(c); err != nil {
		t.Errorf("the client of the quiet listener, after two calls: %v", err)
	}
}

func TestCloseClosesTheListenersAndHandleRequestBindsAgain(t *testing.T) {
	path, address := filepath.Join(t.TempDir(), "s"), freePort(t)
	srv := &prefork.Server{
		Config:  prefork.Config{Listen: []string{"unix://" + path, "tcp://" + address}},
		Handler: greet,
	}
	if err := srv.Close(); err != nil { // no listener is open
		t.Errorf("Close: %v", err)
	}
	for range 3 {
		done := handleOne(t, srv)
		c, err := dial("tcp", address, done)
		if err != nil {
			t.Fatal(err)
		}
		if err := greeting(c); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("HandleRequest: %v", err)
		}
		if err := errors.Join(srv.Close(), srv.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("dialing after Close: %v, want a refusal", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket's file after Close: %v", err)
		}
	}
}

func TestCloseEndsAWaitingHandleRequest(t *testing.T) {
	address := freePort(t)
	srv := &prefork.Server{Config: prefork.Config{Listen: []string{"tcp://" + address}}, Handler: greet}
	first := handleOne(t, srv)
	c, err := dial("tcp", address, first) // waits until the listener is open
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(greeting(c), <-first); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { waiting <- srv.HandleRequest(ctx) }()
	// Close may come before HandleRequest, which then binds again. So close until
	// it returns.
	for tick := time.NewTicker(2 * time.Millisecond); ; {
		_ = srv.Close()
		select {
		case err := <-waiting:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("HandleRequest: %v, want net.ErrClosed", err)
			}
			if _, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("dialing after the end: %v, want a refusal", err)
			}
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

func TestHandlerMayCloseItsServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	srv := &prefork.Server{Config: prefork.Config{Listen: []string{"unix://" + path}}}
	srv.Handler = worker.HandlerFunc(func(ctx context.Context, c *worker.Conn) error {
		_ = srv.Close()
		return greet(ctx, c)
	})
	done := handleOne(t, srv)
	c, err := dial("unix", path, done)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(greeting(c), <-done); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file after the call: %v", err)
	}
}

func TestHandleRequestReturnsAfterTheTimeout(t *testing.T) {
	calls := 0
	srv := &prefork.Server{
		Config: prefork.Config{
			Listen:  []string{"unix://" + filepath.Join(t.TempDir(), "s")},
			Timeout: 10 * time.Millisecond,
		},
		Handler: greet,
		Hooks:   worker.Hooks{HandleTimeout: func() { calls++ }},
	}
	defer srv.Close()
	if err := srv.HandleRequest(t.Context()); err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
	if calls != 1 {
		t.Errorf("HandleTimeout was called %d times, want once", calls)
	}
}

func TestRequestQueueSizeIsTheListenBacklog(t *testing.T) {
	const size = 3
	path := filepath.Join(t.TempDir(), "s")
	release := make(chan struct{})
	began := make(chan struct{})
	done := handleOne(t, &prefork.Server{
		Config: prefork.Config{Listen: []string{"unix://" + path}, RequestQueueSize: size},
		Handler: worker.HandlerFunc(func(context.Context, *worker.Conn) error {
			close(began)
			<-release
			return nil
		}),
	})
	c, err := dial("unix", path, done)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-began
	queued := 0
	for ; queued < 100; queued++ {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); errors.Is(err, unix.EAGAIN) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
	if queued != size+1 { // Linux queues one more than the backlog
		t.Errorf("%d connections queued, want %d", queued, size+1)
	}
}

// A connection inherits SO_REUSEADDR from its listener. A test that binds while
// connections are in TIME_WAIT would be less reliable, because a busy kernel
// drops them early.
func TestAddressIsReusedUnlessForbidden(t *testing.T) {
	for want, forbid := range []bool{true, false} {
		address := freePort(t)
		got := -1
		done := handleOne(t, &prefork.Server{
			Config: prefork.Config{Listen: []string{"tcp://" + address}, NoReuseAddress: forbid},
			Handler: worker.HandlerFunc(func(_ context.Context, c *worker.Conn) error {
				raw, err := c.SyscallConn()
				if err != nil {
					return err
				}
				return raw.Control(func(fd uintptr) {
					got, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR)
				})
			}),
		})
		c, err := dial("tcp", address, done)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := <-done; err != nil {
			t.Errorf("HandleRequest: %v", err)
		}
		if got != want {
			t.Errorf("NoReuseAddress %v: SO_REUSEADDR is %d, want %d", forbid, got, want)
		}
	}
}

// freePort returns an address that is not in use. Its port is not in the range
// from which the kernel chooses, so that no other test gets it meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp4", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

var testLink = regexp.MustCompile(`\[((?:Test|Example|Fuzz)\w*)\]\(([^)]+)\)`)

func TestEveryTestInTheSocketserverTableExists(t *testing.T) {
	const page = "docs/socketserver.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	links := testLink.FindAllSubmatch(text, -1)
	if len(links) < 40 {
		t.Errorf("found only %d links to tests in %s", len(links), page)
	}
	for _, link := range links {
		name, file := link[1], filepath.Join(filepath.Dir(page), string(link[2]))
		source, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Contains(source, fmt.Appendf(nil, "\nfunc %s(", name)) {
			t.Errorf("%s is not in %s", name, file)
		}
	}
}
