package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/systemd"
	"prefork/systemd/notifytest"
)

const patience = 10 * time.Second

// notifier returns a Notifier made from NOTIFY_SOCKET, and who hears it.
func notifier(t *testing.T) (*systemd.Notifier, *notifytest.Recorder) {
	t.Helper()
	checkDescriptors(t)
	r := notifytest.New(t)
	t.Setenv("NOTIFY_SOCKET", r.Address())
	n, err := systemd.NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if !n.Enabled() {
		t.Fatal("a Notifier with a socket is not enabled")
	}
	return n, r
}

func TestEachNotificationIsOneDatagramInOrder(t *testing.T) {
	n, r := notifier(t)
	for _, step := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("") }, "READY=1"},
		{func() error { return n.Ready("4 workers\nready") }, "READY=1\nSTATUS=4 workers ready"},
		{func() error { return n.Stopping("") }, "STOPPING=1"},
		{func() error { return n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
		{func() error { return n.Status("a\nb\xff") }, "STATUS=a b\uFFFD"},
		{func() error { return n.Status("") }, "STATUS="},
		{func() error { return n.Errno(syscall.EADDRINUSE) }, "ERRNO=98"},
		{func() error { return n.Extend(90 * time.Second) }, "EXTEND_TIMEOUT_USEC=90000000"},
		{n.Watchdog, "WATCHDOG=1"},
		{n.WatchdogTrigger, "WATCHDOG=trigger"},
		{func() error { return n.MainPID(4711) }, "MAINPID=4711"},
		{func() error { return n.Remove("http") }, "FDSTOREREMOVE=1\nFDNAME=http"},
		{func() error { return n.Send(systemd.Field{Name: "X_OWN", Value: "y"}) }, "X_OWN=y"},
	} {
		if err := step.send(); err != nil {
			t.Fatalf("send %q: %v", step.want, err)
		}
		m := r.WaitFor(fmt.Sprintf("%q", step.want), patience, func(notifytest.Message) bool { return true })
		if m.Raw != step.want || m.Files != 0 {
			t.Errorf("got %v, want %q", m, step.want)
		}
		if m.PID != os.Getpid() || m.UID != os.Getuid() || m.GID != os.Getgid() {
			t.Errorf("%v came from PID %d, UID %d, GID %d", m, m.PID, m.UID, m.GID)
		}
	}
}

func TestReloadingCarriesTheMomentInTheSameMessage(t *testing.T) {
	n, r := notifier(t)
	before := monotonicUSec(t)
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	after := monotonicUSec(t)
	m := r.Wait("RELOADING", "1", patience)
	text, _ := m.Get("MONOTONIC_USEC")
	if usec, err := strconv.ParseInt(text, 10, 64); err != nil || usec < before || usec > after {
		t.Errorf("%v was sent between %d and %d", m, before, after)
	}
}

func monotonicUSec(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

func TestAbstractSocketsAreReached(t *testing.T) {
	checkDescriptors(t)
	r := notifytest.NewAbstract(t)
	n, err := systemd.NewNotifierTo(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if err := n.Ready(""); err != nil {
		t.Fatal(err)
	}
	r.Wait("READY", "1", patience)
}

func TestWithoutAManagerNothingIsSentAndMistakesStillShow(t *testing.T) {
	checkDescriptors(t)
	t.Setenv("NOTIFY_SOCKET", "") // so that it comes back after the test
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		t.Fatal(err)
	}
	disabled, err := systemd.NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]*systemd.Notifier{"disabled": disabled, "nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			if n.Enabled() {
				t.Error("it is enabled")
			}
			for call, err := range map[string]error{
				"Ready": n.Ready("x"), "Reloading": n.Reloading(), "Stopping": n.Stopping(""), "Status": n.Status("x"),
				"Errno": n.Errno(0), "Extend": n.Extend(time.Second), "Watchdog": n.Watchdog(), "Trigger": n.WatchdogTrigger(),
				"MainPID": n.MainPID(1), "Barrier": n.Barrier(t.Context()), "Store": n.Store("a", 0), "Remove": n.Remove("a"),
				"Close": n.Close(),
			} {
				if err != nil {
					t.Errorf("%s: %v", call, err)
				}
			}
			wantMistakes(t, n)
		})
	}
}

func TestMistakesAreRefusedBeforeTheyAreSent(t *testing.T) {
	n, r := notifier(t)
	wantMistakes(t, n)
	if err := n.Ready(""); err != nil {
		t.Fatal(err)
	}
	r.Wait("READY", "1", patience)
	if got := r.Messages(); len(got) != 1 {
		t.Errorf("got %v, want READY=1 alone", got)
	}
}

func wantMistakes(t *testing.T, n *systemd.Notifier) {
	t.Helper()
	for call, test := range map[string]struct {
		err  error
		says string
	}{
		"newline":       {n.Send(systemd.Field{Name: "STATUS", Value: "a\nREADY=1"}), "newline"},
		"no field":      {n.Send(), "no fields"},
		"errno":         {n.Errno(4096), "4096"},
		"no time":       {n.Extend(0), "0s"},
		"negative time": {n.Extend(-time.Second), "-1s"},
		"PID 0":         {n.MainPID(0), "MAINPID=0"},
		"no descriptor": {n.Store("http"), "none given"},
		"no name":       {n.Store("", 0), "without a name"},
		"colon":         {n.Store("tcp:80", 0), `"tcp:80"`},
		"control":       {n.Store("a\nb", 0), "printable"},
		"not ASCII":     {n.Store("é", 0), "printable"},
		"long name":     {n.Store(strings.Repeat("x", 256), 0), "256 bytes"},
		"remove colon":  {n.Remove("a:b"), `"a:b"`},
		"remove nobody": {n.Remove(""), "without a name"},
		"descriptors":   {n.SendFiles(make([]int, systemd.MaxFiles+1), systemd.Field{Name: "A"}), "254 descriptors"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%s: got error %v, want it to say %q", call, test.err, test.says)
		}
	}
}

func TestASocketThatIsNotThereIsAnError(t *testing.T) {
	checkDescriptors(t)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(testdir.Short(t), "none"))
	n, err := systemd.NewNotifier()
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("got error %v, want ENOENT and the variable's name", err)
	}
	if err := n.Ready(""); err != nil {
		t.Errorf("the Notifier that came with the error: %v", err)
	}
	var envErr *systemd.EnvError
	if _, err := systemd.NewNotifierTo("vsock:2:99"); !errors.As(err, &envErr) {
		t.Errorf("vsock: got error %v", err)
	}
}

// deafManager is a notification socket that nobody reads.
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
	t.Fatalf("the queue took %d messages and is not full", most)
}

func TestADeafManagerNeverHoldsTheSender(t *testing.T) {
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
			t.Fatalf("READY=1 never came: %v", err)
		}
		if string(buf[:k]) == "READY=1" {
			break
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestAManagerThatMadeItsSocketAnewIsFound(t *testing.T) {
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

func TestAClosedNotifierSaysSo(t *testing.T) {
	n, _ := notifier(t)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(""); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got error %v, want os.ErrClosed", err)
	}
	if err := n.Barrier(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("barrier: got error %v, want os.ErrClosed", err)
	}
}

func TestANotifierServesManyGoroutines(t *testing.T) {
	n, r := notifier(t)
	n.Wait = patience
	var senders sync.WaitGroup
	for i := range 8 {
		senders.Go(func() {
			for j := range 20 {
				if err := n.Status(fmt.Sprintf("%d %d", i, j)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	pass(t, n)
	next := map[string]int{}
	for _, m := range r.Messages() {
		status, ok := m.Get("STATUS")
		if !ok {
			continue
		}
		sender, number, _ := strings.Cut(status, " ")
		if number != strconv.Itoa(next[sender]) {
			t.Fatalf("sender %s: got message %s, want %d", sender, number, next[sender])
		}
		next[sender]++
	}
	for i := range 8 {
		if got := next[strconv.Itoa(i)]; got != 20 {
			t.Errorf("sender %d: %d messages came, want 20", i, got)
		}
	}
}

// pass waits until the manager has seen all that n sent.
func pass(t *testing.T, n *systemd.Notifier) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Barrier(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestBarrierReturnsWhenAllBeforeIsDone(t *testing.T) {
	n, r := notifier(t)
	for range 5 {
		if err := n.Status("x"); err != nil {
			t.Fatal(err)
		}
	}
	pass(t, n)
	got := r.Messages()
	if len(got) != 6 || got[5].Raw != "BARRIER=1" || got[5].Files != 1 {
		t.Errorf("at the barrier the manager had seen %v", got)
	}
}

func TestBarrierGivesUpWithItsContext(t *testing.T) {
	checkDescriptors(t)
	path := filepath.Join(testdir.Short(t), "s")
	manager := deafManager(t, path)
	n, err := systemd.NewNotifierTo(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	passed := make(chan error, 1)
	go func() { passed <- n.Barrier(ctx) }()
	buf, oob := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	k, oobn, _, _, err := manager.ReadMsgUnix(buf, oob)
	if err != nil || string(buf[:k]) != "BARRIER=1" {
		t.Fatalf("the manager got %q, %v", buf[:k], err)
	}
	cancel(cause)
	if err := <-passed; !errors.Is(err, cause) {
		t.Errorf("got error %v, want the context's cause", err)
	}
	controls, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(controls) != 1 {
		t.Fatalf("control data %v, %v", controls, err)
	}
	fds, err := unix.ParseUnixRights(&controls[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v, %v", fds, err)
	}
	_ = unix.Close(fds[0])
}
