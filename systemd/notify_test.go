package systemd_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/integration/notifytest"
	"prefork/internal/testdir"
	"prefork/systemd"
)

const patience = 10 * time.Second

// notifier returns a Notifier for NOTIFY_SOCKET and the recorder of its messages.
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
		{func() error { return n.Extend(90 * time.Second) }, "EXTEND_TIMEOUT_USEC=90000000"},
		{n.Watchdog, "WATCHDOG=1"},
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
			t.Errorf("%v has PID %d, UID %d, GID %d", m, m.PID, m.UID, m.GID)
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
	name := "@prefork-notify-" + strings.ToLower(rand.Text())
	manager := deafManager(t, name)
	n, err := systemd.NewNotifierTo(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if err := n.Ready(""); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if k, err := manager.Read(buf); err != nil || string(buf[:k]) != "READY=1" {
		t.Errorf("the manager got %q, %v", buf[:k], err)
	}
}

func TestWithoutAManagerNothingIsSentAndErrorsAreStillReported(t *testing.T) {
	checkDescriptors(t)
	t.Setenv("NOTIFY_SOCKET", "") // so that it is restored after the test
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
				"Extend": n.Extend(time.Second), "Watchdog": n.Watchdog(), "Barrier": n.Barrier(t.Context()),
				"Store": n.Store("a", 0), "Remove": n.Remove("a"), "Close": n.Close(),
			} {
				if err != nil {
					t.Errorf("%s: %v", call, err)
				}
			}
			wantMistakes(t, n)
		})
	}
}

func TestInvalidMessagesAreRefusedBeforeTheyAreSent(t *testing.T) {
	n, r := notifier(t)
	wantMistakes(t, n)
	if err := n.Ready(""); err != nil {
		t.Fatal(err)
	}
	r.Wait("READY", "1", patience)
	if got := r.Messages(); len(got) != 1 {
		t.Errorf("got %v, want only READY=1", got)
	}
}

func wantMistakes(t *testing.T, n *systemd.Notifier) {
	t.Helper()
	for call, test := range map[string]struct {
		err  error
		says string
	}{
		"newline":               {n.Send(systemd.Field{Name: "STATUS", Value: "a\nREADY=1"}), "newline"},
		"no field":              {n.Send(), "no fields"},
		"no time":               {n.Extend(0), "0s"},
		"negative time":         {n.Extend(-time.Second), "-1s"},
		"no descriptor":         {n.Store("http"), "none given"},
		"no name":               {n.Store("", 0), "without a name"},
		"colon":                 {n.Store("tcp:80", 0), `"tcp:80"`},
		"control":               {n.Store("a\nb", 0), "printable"},
		"not ASCII":             {n.Store("é", 0), "printable"},
		"long name":             {n.Store(strings.Repeat("x", 256), 0), "256 bytes"},
		"remove colon":          {n.Remove("a:b"), `"a:b"`},
		"remove without a name": {n.Remove(""), "without a name"},
		"descriptors":           {n.SendFiles(make([]int, systemd.MaxFiles+1), systemd.Field{Name: "A"}), "254 descriptors"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%s: got error %v, want %q in it", call, test.err, test.says)
		}
	}
}

func TestAMissingSocketIsAnError(t *testing.T) {
	checkDescriptors(t)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(testdir.Short(t), "none"))
	n, err := systemd.NewNotifier()
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("got error %v, want ENOENT and the variable's name", err)
	}
	if err := n.Ready(""); err != nil {
		t.Errorf("the Notifier returned with the error: %v", err)
	}
	var envErr *systemd.EnvError
	if _, err := systemd.NewNotifierTo("vsock:2:99"); !errors.As(err, &envErr) {
		t.Errorf("vsock: got error %v", err)
	}
}

func TestAClosedNotifierReturnsAnError(t *testing.T) {
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
			t.Errorf("sender %d: received %d messages, want 20", i, got)
		}
	}
}
