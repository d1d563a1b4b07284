package master

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
)

func TestControlSocketIsPrivate(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	info, err := os.Stat(r.master.options.Control)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestTheControlSocketAnswersInvalidRequestsInJSON(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	for path, want := range map[string]int{"/v1/reload": http.StatusMethodNotAllowed, "/v1/nothing": http.StatusNotFound} {
		resp, err := r.client.Get("http://prefork" + path)
		if err != nil {
			t.Fatal(err)
		}
		var a Answer
		err = json.NewDecoder(resp.Body).Decode(&a)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want || a.OK || a.Error == "" {
			t.Errorf("GET %s: %s, %+v, %v; want %d and a reason", path, resp.Status, a, err, want)
		}
	}
}

// commandedBy returns the answer to a status request of a peer with these
// credentials.
func commandedBy(m *Master, cred *unix.Ucred) int {
	ctx := context.Background()
	if cred != nil {
		ctx = context.WithValue(ctx, clientKey{}, &controlClient{peer: cred, clients: &controlClients{}})
	}
	w := httptest.NewRecorder()
	m.controlHandler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/status", nil))
	return w.Code
}

func TestOnlyTheServersUserAndRootMayUseTheControlSocket(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	self := uint32(os.Geteuid())
	for name, tt := range map[string]struct {
		cred *unix.Ucred
		want int
	}{
		"unknown user":      {nil, http.StatusForbidden},
		"the server's user": {&unix.Ucred{Uid: self}, http.StatusOK},
		"root":              {&unix.Ucred{Uid: 0}, http.StatusOK},
		"another user":      {&unix.Ucred{Uid: self + 1}, http.StatusForbidden},
		"root's group":      {&unix.Ucred{Uid: self + 1, Gid: 0}, http.StatusForbidden},
	} {
		if code := commandedBy(r.master, tt.cred); code != tt.want {
			t.Errorf("%s: %d, want %d", name, code, tt.want)
		}
	}
}

// The mode of the socket file excludes other users. If the mode is changed, the
// credentials of the peer still exclude them.
func TestAnotherUserIsRefusedByTheControlSocket(t *testing.T) {
	needtool.Root(t, "connects as another user")
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	path := r.master.options.Control
	for name, mode := range map[string]os.FileMode{path: 0o666, filepath.Dir(path): 0o755} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := askAs(path, 12345)
	if err != nil || !strings.HasPrefix(answer, "HTTP/1.0 403 ") {
		t.Errorf("another user is answered %.40q, %v; want 403", answer, err)
	}
	if answer, err = askAs(path, 0); err != nil || !strings.HasPrefix(answer, "HTTP/1.0 200 ") {
		t.Errorf("root is answered %.40q, %v; want 200", answer, err)
	}
}

// askAs requests the status as another user. Credentials belong to a thread.
func askAs(path string, uid int) (answer string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		become := func(uid int) error {
			_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
			if e != 0 {
				return fmt.Errorf("set user %d: %w", uid, e)
			}
			return nil
		}
		if err = become(uid); err != nil {
			return
		}
		defer func() {
			if become(0) == nil {
				runtime.UnlockOSThread() // otherwise the thread ends with the goroutine
			}
		}()
		fd, e := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if e != nil {
			err = e
			return
		}
		defer unix.Close(fd)
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			return
		}
		if _, err = unix.Write(fd, []byte("GET /v1/status HTTP/1.0\r\n\r\n")); err != nil {
			return
		}
		buf := make([]byte, 4096)
		n, e := unix.Read(fd, buf)
		answer, err = string(buf[:max(n, 0)]), e
	}()
	<-done
	return answer, err
}
