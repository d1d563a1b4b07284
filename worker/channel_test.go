package worker

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/ipc"
)

// acks returns the orders that the worker has acknowledged.
func (r *rig) acks() (orders []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if a, ok := m.(*ipc.Ack); ok {
			orders = append(orders, a.Order)
		}
	}
	return orders
}

func TestOrdersAreAcknowledgedOnceTheyAreDone(t *testing.T) {
	r := start(t, Config{}, Options{Handler: echo}, "127.0.0.1:0")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r.send(&ipc.LogLevel{Order: 7, Level: "info"})
	r.send(&ipc.AccessLog{Order: 8}, int(null.Fd()))
	r.send(&ipc.AccessLog{}, int(null.Fd())) // none is asked for
	r.lose()
	r.send(&ipc.LogLevel{Order: 11, Level: "info"})
	eventually(t, "the last order's acknowledgement", func() bool {
		a := r.acks()
		return len(a) > 0 && a[len(a)-1] == 11
	})
	if a := r.acks(); len(a) != 3 || a[0] != 7 || a[1] != 8 {
		t.Errorf("acknowledged %v, want 7, 8 and 11", a)
	}
	if n := len(r.logs.FilterMessage("message not understood").All()); n != 1 {
		t.Errorf("%d lines about lost descriptors, want 1", n)
	}
}

// lose sends an order, three times, with more descriptors than the worker has
// room for.
func (r *rig) lose() {
	fds := make([]int, ipc.MaxFiles+1)
	for range 3 {
		err := unix.Sendmsg(r.fd, []byte(`{"type":"access_log","body":{"order":10}}`), unix.UnixRights(fds...), nil, 0)
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// Clients of a Unix socket that takes descriptors can hold a thread each.
func TestAUnixListenerThatTakesDescriptorsAllowsMoreThreads(t *testing.T) {
	t.Cleanup(func() { debug.SetMaxThreads(defaultMaxThreads) })
	debug.SetMaxThreads(defaultMaxThreads)
	start(t, Config{MaxConnections: 7}, Options{Handler: echo}, "127.0.0.1:0")
	if n := debug.SetMaxThreads(defaultMaxThreads); n != defaultMaxThreads {
		t.Errorf("with TCP alone %d threads, want %d", n, defaultMaxThreads)
	}
	start(t, Config{MaxConnections: 7}, Options{Handler: echo}, filepath.Join(testdir.Short(t), "s"))
	if n, want := debug.SetMaxThreads(defaultMaxThreads), defaultMaxThreads+7+maxLingering; n != want {
		t.Errorf("with a Unix socket %d threads, want %d", n, want)
	}
}
