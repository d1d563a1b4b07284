package master

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
	"prefork/internal/testdir"
)

// A child of the master, such as a command that Load runs, or the next worker,
// gets what it is given and nothing else.
func TestTheMastersDescriptorsAreClosedOnExec(t *testing.T) {
	dir := testdir.Short(t)
	g := generationOf(2, "", "tcp://127.0.0.1:0", "unix://"+filepath.Join(dir, "s"))
	r := start(t, Options{Generation: g, PIDFile: filepath.Join(dir, "pid"), AccessLog: filepath.Join(dir, "access")})
	r.serves(2)
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	seen := map[string]int{}
	r.untilLoop("the loop", func(*Master) bool {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			fd, err := strconv.Atoi(entry.Name())
			if err != nil || fd <= 2 {
				continue
			}
			target, err := os.Readlink("/proc/self/fd/" + entry.Name())
			if err != nil {
				continue // the descriptor of this directory
			}
			kind, _, _ := strings.Cut(target, ":[")
			seen[kind]++
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err == nil && flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d, %s, is not close-on-exec", fd, target)
			}
		}
		return true
	})
	for kind, n := range map[string]int{"/memfd:prefork-crash (deleted)": 2, "socket": 2} {
		if seen[kind] < n {
			t.Errorf("saw %d descriptors of %s, want %d or more: %v", seen[kind], kind, n, seen)
		}
	}
}

// Ctrl-C reaches the foreground process group: the master decides what it
// means for the workers.
func TestEachWorkerHasAProcessGroupOfItsOwn(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
	for _, w := range r.serves(2).Workers {
		if group, err := unix.Getpgid(w.PID); err != nil || group != w.PID {
			t.Errorf("worker %d is in process group %d, %v; want its own", w.PID, group, err)
		}
	}
}

// commandedBy answers a status request of a peer with these credentials.
func commandedBy(m *Master, cred *unix.Ucred) int {
	ctx := context.Background()
	if cred != nil {
		ctx = context.WithValue(ctx, peerKey{}, cred)
	}
	w := httptest.NewRecorder()
	m.controlHandler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/status", nil))
	return w.Code
}

func TestOnlyTheServersUserAndRootMayCommandIt(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	self := uint32(os.Geteuid())
	for name, tt := range map[string]struct {
		cred *unix.Ucred
		want int
	}{
		"nobody knows who":  {nil, http.StatusForbidden},
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

// The mode of the socket file keeps others out; if somebody widens it, the
// credentials of the peer still do.
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

// askAs asks for the status as another user. The kernel keeps the credentials
// of each thread apart.
func askAs(path string, uid int) (answer string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		become := func(uid int) error {
			_, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
			if e != 0 {
				return fmt.Errorf("become user %d: %w", uid, e)
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
