package master

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/master/policy"
)

func TestAFailedReloadKeepsTheOldGeneration(t *testing.T) {
	taken := bindOne(t, "tcp://127.0.0.1:0")
	tests := []struct {
		name string
		load func() (Generation, error)
		want string
	}{
		{"configuration", func() (Generation, error) { return Generation{}, errors.New("prefork.toml:3: unknown key") }, "prefork.toml:3: unknown key"},
		{"port in use", func() (Generation, error) {
			return generationOf(1, "", "tcp://127.0.0.1:0", "tcp://"+taken.address), nil
		}, "address already in use"},
		{"worker fails", func() (Generation, error) { return generationOf(1, "fail", "tcp://127.0.0.1:0"), nil }, "no such colour"},
		{"worker panics", func() (Generation, error) { return generationOf(1, "panic", "tcp://127.0.0.1:0"), nil }, ""},
		{"worker is another build", func() (Generation, error) { return generationOf(1, "stranger", "tcp://127.0.0.1:0"), nil }, "another"},
		{"worker sends rubbish", func() (Generation, error) { return generationOf(1, "corrupt", "tcp://127.0.0.1:0"), nil }, "bad message"},
		{"worker sends a message before its hello", func() (Generation, error) { return generationOf(1, "noHello", "tcp://127.0.0.1:0"), nil }, "out of order"},
		{"worker sends an order", func() (Generation, error) { return generationOf(1, "sendsOrder", "tcp://127.0.0.1:0"), nil }, "only the master may send"},
		{"worker is never ready", func() (Generation, error) {
			g := generationOf(1, "silent", "tcp://127.0.0.1:0")
			g.Policy.StartTimeout = 50 * time.Millisecond
			return g, nil
		}, "not ready within"},
		{"worker is never ready and has to be killed", func() (Generation, error) {
			g := generationOf(1, "deaf", "tcp://127.0.0.1:0")
			g.Policy.StartTimeout, g.Policy.DumpDelay = 50*time.Millisecond, 50*time.Millisecond
			return g, nil
		}, "not ready within"},
	}
	load := make(chan func() (Generation, error), 1)
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load:       func(context.Context) (Generation, error) { return (<-load)() },
	})
	before := r.serves(1)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			load <- tt.load
			code, a := r.post("reload")
			if code != http.StatusConflict || a.OK || !strings.Contains(a.Error, tt.want) || a.Generation != 1 {
				t.Fatalf("reload = %d %+v; want 409 with %q; log:\n%s", code, a, tt.want, r.logText())
			}
			s := r.serves(1)
			if s.Workers[0].PID != before.Workers[0].PID || s.LastReload.OK || s.LastReload.Error != a.Error || s.LastReload.At == nil {
				t.Errorf("status = %+v; want the old worker and the reason", s)
			}
		})
	}
}

func TestReloadsAddAndRemoveListeners(t *testing.T) {
	listen := make(chan []string, 1)
	path := filepath.Join(testdir.Short(t), "s")
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load: func(context.Context) (Generation, error) {
			return generationOf(1, "", <-listen...), nil
		},
	})
	kept := r.serves(1).Listeners[0].Address

	listen <- []string{"tcp://127.0.0.1:0", "unix://" + path, "tcp://127.0.0.2:0"}
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	s := r.serves(1)
	if len(s.Listeners) != 3 || s.Listeners[0].Address != kept {
		t.Errorf("listeners = %+v, want %s kept and two more", s.Listeners, kept)
	}
	removed := s.Listeners[2].Address

	listen <- []string{"tcp://127.0.0.1:0"}
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	r.serves(1)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat of the removed listener's socket = %v", err)
	}
	r.until("the removed listener to be closed", func(Status) bool {
		c, err := net.DialTimeout("tcp", removed, patience)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
}

func TestReloadChangesKeptListeners(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	next := make(chan Generation, 1)
	first := generationOf(1, "", "unix://"+path+"?mode=0660", "tcp://127.0.0.1:0")
	first.Backlog = 10
	r := start(t, Options{Generation: first, Load: func(context.Context) (Generation, error) { return <-next, nil }})
	r.serves(1)
	second := generationOf(1, "", "unix://"+path+"?mode=0606", "tcp://127.0.0.1:0")
	second.Backlog = 77
	next <- second
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o606 {
		t.Errorf("socket file: %v, %v; want mode 0606", info.Mode(), err)
	}
	var queue uint32
	r.untilLoop("the loop", func(m *Master) bool {
		info, err := unix.GetsockoptTCPInfo(m.current.listeners[1].fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		queue = info.Sacked // for a listening socket: the maximal length of its queue
		return true
	})
	if queue != 77 {
		t.Errorf("queue of %d, want 77", queue)
	}
}

func TestReloadRestoresARemovedSocketFile(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	r := start(t, Options{Generation: generationOf(1, "", "unix://"+path)})
	r.serves(1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("after the reload: %v", err)
	}
	c.Close()
}

func TestRepeatedReloadRequestsBecomeOne(t *testing.T) {
	release := make(chan struct{})
	loads := 0
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load: func(context.Context) (Generation, error) {
			loads++ // one load at a time: the next begins after the answer
			<-release
			return generationOf(1, "", "tcp://127.0.0.1:0"), nil
		},
	})
	r.serves(1)
	answers := make(chan Answer, 10)
	ask := func() {
		a, err := r.master.command(context.Background(), func(id policy.Request) (policy.Event, error) { return policy.Reload{Request: id}, nil })
		if err != nil {
			a.Error = err.Error()
		}
		answers <- a
	}
	go ask()
	r.until("the reload", func(s Status) bool { return s.State == "reloading" })
	for range 9 {
		go ask()
	}
	r.untilLoop("ten to wait", func(m *Master) bool { return len(m.waiting) == 10 })
	close(release)
	for range 10 {
		if a := <-answers; !a.OK {
			t.Errorf("reload: %+v", a)
		}
	}
	if s := r.serves(1); s.Generation != 3 || loads != 2 {
		t.Errorf("generation %d after %d loads; want 3 after 2", s.Generation, loads)
	}
}
