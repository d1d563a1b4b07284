package control

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"prefork/internal/testdir"
)

// place sets an environment without runtime directories and with an empty
// temporary directory that has a short path. It returns the directory that a
// server would create.
func place(t *testing.T) string {
	t.Helper()
	dir := testdir.Short(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", dir)
	return filepath.Join(dir, "prefork-"+strconv.Itoa(os.Geteuid()))
}

// listen opens a socket at path until the test ends.
func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// stale creates a stale socket file.
func stale(t *testing.T, path string) {
	t.Helper()
	l := listen(t, path)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// fake serves h on a control socket and returns the path.
func fake(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	place(t)
	path := filepath.Join(os.Getenv("TMPDIR"), "c.sock")
	l := listen(t, path)
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return path
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
