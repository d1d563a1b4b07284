package prefork_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// The rows of docs/socketserver.md that belong to Server itself. Those of the
// worker are tested there.

// greet answers and closes.
var greet = worker.HandlerFunc(func(_ context.Context, c *worker.Conn) error {
	_, err := io.WriteString(c, "hello\n")
	return err
})

// handleOne calls HandleRequest on srv, and returns its end.
func handleOne(t *testing.T, srv *prefork.Server) chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- srv.HandleRequest(t.Context()) }()
	return done
}

func TestHandleRequestServesOneConnectionAndNoMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	done := handleOne(t, &prefork.Server{Listen: []string{"unix://" + path}, Handler: greet})
	c, err := dial("unix", path, done)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "hello\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("somebody listens still")
	}
}

// impatient counts the calls of handle_timeout.
type impatient struct {
	worker.HandlerFunc
	calls int
}

func (h *impatient) HandleTimeout() { h.calls++ }

func TestHandleRequestGivesUpAfterTheTimeout(t *testing.T) {
	h := &impatient{HandlerFunc: greet}
	srv := &prefork.Server{
		Listen:  []string{"unix://" + filepath.Join(t.TempDir(), "s")},
		Handler: h,
		Timeout: 10 * time.Millisecond,
	}
	if err := srv.HandleRequest(t.Context()); err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
	if h.calls != 1 {
		t.Errorf("HandleTimeout was called %d times, want once", h.calls)
	}
}

func TestRequestQueueSizeIsTheListenBacklog(t *testing.T) {
	const size = 3
	path := filepath.Join(t.TempDir(), "s")
	release := make(chan struct{})
	began := make(chan struct{})
	done := handleOne(t, &prefork.Server{
		Listen:           []string{"unix://" + path},
		RequestQueueSize: size,
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
	if queued != size+1 { // Linux counts so
		t.Errorf("%d connections queued, want %d", queued, size+1)
	}
}

// A connection inherits SO_REUSEADDR from its listener, which is a surer sign
// than a bind beside TIME_WAIT: a busy kernel forgets those early.
func TestAddressIsReusedUnlessForbidden(t *testing.T) {
	for want, forbid := range []bool{true, false} {
		address := freePort(t)
		got := -1
		done := handleOne(t, &prefork.Server{
			Listen:         []string{"tcp://" + address},
			NoReuseAddress: forbid,
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

// freePort returns an address that nobody listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

var testLink = regexp.MustCompile(`\[((?:Test|Example|Fuzz)\w*)\]\(([^)]+)\)`)

func TestEveryTestThatTheSocketserverTableNamesExists(t *testing.T) {
	const page = "docs/socketserver.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	links := testLink.FindAllSubmatch(text, -1)
	if len(links) < 40 {
		t.Errorf("%d links to tests in %s: has its form changed?", len(links), page)
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
