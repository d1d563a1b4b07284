package master

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
)

// A child of the master, such as a command that Load runs or a worker, inherits
// only the descriptors that it is given.
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
				continue // the descriptor of the directory itself
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

// Ctrl-C goes to the foreground process group. It must reach only the master,
// which decides about the workers.
func TestEachWorkerHasAProcessGroupOfItsOwn(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
	for _, w := range r.serves(2).Workers {
		if group, err := unix.Getpgid(w.PID); err != nil || group != w.PID {
			t.Errorf("worker %d is in process group %d, %v; want its own", w.PID, group, err)
		}
	}
}

// Starting a worker must not change the flags of the listeners from which other
// workers accept.
func TestSpawningLeavesListenersNonBlocking(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "blocking", "tcp://127.0.0.1:0")})
	r.serves(2)
	var flags int
	err := r.master.do(context.Background(), func(m *Master) {
		flags, _ = unix.FcntlInt(uintptr(m.current.listeners[0].fd), unix.F_GETFL, 0)
	})
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("listener flags %#x, %v; want O_NONBLOCK", flags, err)
	}
}

func TestWorkersDoNotInheritTheServiceManagersVariables(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	r := start(t, Options{Generation: generationOf(1, "environment", "tcp://127.0.0.1:0")})
	r.serves(1)
}
