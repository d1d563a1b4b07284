package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/worker/poll"
)

// fullPoller is a poller that refuses listeners with the test's error.
type fullPoller struct {
	poll.Poller
	wake             int // the wake descriptor, which is not refused
	adding, removing atomic.Pointer[unix.Errno]
}

func (b *fullPoller) Add(fd int) error {
	if errno := b.adding.Load(); errno != nil && fd != b.wake {
		return fmt.Errorf("add descriptor %d: %w", fd, *errno)
	}
	return b.Poller.Add(fd)
}

func (b *fullPoller) Remove(fd int) error {
	err := b.Poller.Remove(fd)
	if errno := b.removing.Load(); errno != nil && fd != b.wake {
		return fmt.Errorf("remove descriptor %d: %w", fd, *errno)
	}
	return err
}

// watchedLoop is an accepting loop on its own goroutine. The test reads the
// master's end of the channel.
type watchedLoop struct {
	*loop
	poller *fullPoller
	master *ipc.Channel
	logs   *observer.ObservedLogs
	addrs  []string
	ended  chan error
}

func runLoop(t *testing.T, prepare func(*fullPoller), listeners int) *watchedLoop {
	t.Helper()
	b := &watchedLoop{ended: make(chan error, 1)}
	mine, theirs, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	channel, err := ipc.NewChannel(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if b.master, err = ipc.NewChannel(mine); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	b.logs = logs
	w := &worker{
		cfg: Config{PollInterval: idleTick}.WithDefaults(), opt: Options{Handler: echo},
		slot: new(ipc.Slot), peer: new(ipc.Peer), channel: channel, log: zap.New(core),
	}
	if err := w.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	var lns []*listener
	for i := range listeners {
		fd, addr := listen(t, "127.0.0.1:0")
		ln, err := openListener(fmt.Sprintf("l%d", i), fd, false)
		if err != nil {
			t.Fatal(err)
		}
		lns, b.addrs = append(lns, ln), append(b.addrs, addr)
	}
	if b.loop, err = newLoop(w, lns); err != nil {
		t.Fatal(err)
	}
	b.poller = &fullPoller{Poller: b.loop.poller, wake: w.inbox.wake.fd}
	prepare(b.poller)
	b.loop.poller = b.poller
	b.phase = phaseAccepting
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := b.run()
		b.close()
		b.ended <- err
	}()
	t.Cleanup(func() {
		b.inbox.post(&ipc.Stop{})
		within(t, "the loop's end", over)
		_, _ = channel.Close(), b.master.Close()
	})
	return b
}

func (b *watchedLoop) logged(message string) int { return b.logs.FilterMessage(message).Len() }

// If the kernel cannot watch another listener (fs.epoll.max_user_watches), the
// worker polls the listeners until it can.
func TestFullPollerPausesAcceptAndLogsOnce(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.ENOMEM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			b := runLoop(t, func(p *fullPoller) { p.adding.Store(&errno) }, 2)
			const paused = "accept paused, out of kernel memory"
			eventually(t, "the pause", func() bool { return b.logged(paused) == 1 })
			for range 2 { // from both listeners, though neither can be watched
				ask(t, dial(t, b.addrs[0]), "x", "x")
				ask(t, dial(t, b.addrs[1]), "y", "y")
			}
			b.poller.adding.Store(nil)
			eventually(t, "the resumption", func() bool { return b.logged("accept resumed") == 1 })
			ask(t, dial(t, b.addrs[1]), "z", "z")
			if n := b.logged(paused); n != 1 {
				t.Errorf("logged %d times that it paused, want once", n)
			}
			if n := b.logged("listener broken"); n != 0 {
				t.Errorf("gave %d listeners up", n)
			}
		})
	}
}

// A worker that cannot watch a listener exits, so that another can replace it.
// It tells the master at once.
func TestWorkerThatCannotWatchAListenerExits(t *testing.T) {
	errno := unix.EPERM
	for name, prepare := range map[string]func(*fullPoller){
		"add":    func(p *fullPoller) { p.adding.Store(&errno) },
		"remove": func(p *fullPoller) { p.removing.Store(&errno) },
	} {
		t.Run(name, func(t *testing.T) {
			b := runLoop(t, prepare, 2)
			err := b.result(within(t, "the loop's end", b.ended))
			exit, ok := errors.AsType[*ExitError](err)
			if !ok || exit.Code != ExitFailure || !errors.Is(err, errno) {
				t.Errorf("exited with %v, want an error with the reason", err)
			}
			for {
				m, _, err := b.master.Receive()
				if err != nil {
					t.Fatalf("no report arrived: %v", err)
				}
				if r, ok := m.(*ipc.Report); ok && r.State == ipc.StateDraining {
					break
				}
			}
		})
	}
}

func TestListenersAreAcceptedFromInTurn(t *testing.T) {
	order := make(chan string, 100)
	r := start(t, Config{Mode: Sequential}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		order <- c.Listener()
		return nil
	})}, "127.0.0.1:0", "127.0.0.1:0")
	for i := range 10 {
		r.dial(i % 2)
	}
	eventually(t, "all to queue", func() bool { return r.queued(0) == 5 && r.queued(1) == 5 })
	r.send(&ipc.Resume{})
	counts := map[string]int{}
	for range 6 {
		counts[within(t, "a connection", order)]++
	}
	if counts["l0"] < 2 || counts["l1"] < 2 {
		t.Errorf("of the first six %v", counts)
	}
}

// A listener that was shut down is served again after the master has repaired
// it. Until then the other listeners are served.
func TestListenerThatIsShutDownIsServedAgainOnceItListens(t *testing.T) {
	for _, listeners := range [][]string{{"127.0.0.1:0"}, {"127.0.0.1:0", "127.0.0.1:0"}} {
		r := accepting(t, Config{}, Options{Handler: echo}, listeners...)
		bound, err := unix.Getsockname(r.kept[0])
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			before := r.logs.FilterMessage("listener broken").Len()
			if err := unix.Shutdown(r.kept[0], unix.SHUT_RD); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the worker to see it", func() bool { return r.logs.FilterMessage("listener broken").Len() == before+1 })
			if len(listeners) > 1 {
				ask(t, r.dial(1), "x", "x")
			}
			// After shutdown(2), a port that the kernel chose is no longer bound.
			if err := unix.Bind(r.kept[0], bound); err != nil && err != unix.EINVAL {
				t.Fatal(err)
			}
			if err := unix.Listen(r.kept[0], 16); err != nil {
				t.Fatal(err)
			}
			ask(t, r.dial(0), "y", "y")
		}
		if n := r.logs.FilterMessage("listener broken").Len(); n != 2 {
			t.Errorf("logged %d times, want once for each shutdown", n)
		}
	}
}
