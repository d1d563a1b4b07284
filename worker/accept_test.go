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

// fullPoller is a poller that refuses listeners with an error of the test's.
type fullPoller struct {
	poll.Poller
	wake             int // is never refused
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

// watchedLoop is a loop that accepts, on a goroutine of its own, with a
// master's end of the channel, which nothing else reads.
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
		b.ended <- b.run()
	}()
	t.Cleanup(func() {
		b.inbox.post(&ipc.Stop{})
		within(t, "the loop's end", over)
		_, _ = channel.Close(), b.master.Close()
	})
	return b
}

func (b *watchedLoop) logged(message string) int { return b.logs.FilterMessage(message).Len() }

// A kernel that has no room to watch a listener (fs.epoll.max_user_watches)
// does not make the worker deaf: it looks by itself until there is room.
func TestPollerThatIsFullPausesAcceptAndSaysSoOnce(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.ENOMEM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			b := runLoop(t, func(p *fullPoller) { p.adding.Store(&errno) }, 2)
			const paused = "accept paused, out of kernel memory"
			eventually(t, "the pause", func() bool { return b.logged(paused) == 1 })
			for range 2 { // both listeners, though none can be watched
				ask(t, dial(t, b.addrs[0]), "x", "x")
				ask(t, dial(t, b.addrs[1]), "y", "y")
			}
			b.poller.adding.Store(nil)
			eventually(t, "the resumption", func() bool { return b.logged("accept resumed") == 1 })
			ask(t, dial(t, b.addrs[1]), "z", "z")
			if n := b.logged(paused); n != 1 {
				t.Errorf("said %d times that it paused", n)
			}
			if n := b.logged("listener broken"); n != 0 {
				t.Errorf("gave %d listeners up", n)
			}
		})
	}
}

// A worker that loses a listener for a reason of its own leaves, so that
// another can take its place; and the master is notified at once.
func TestWorkerThatCannotWatchAListenerLeaves(t *testing.T) {
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
				t.Errorf("left with %v, want a failure that says why", err)
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

func TestListenersTakeTurns(t *testing.T) {
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

// A listener that somebody has shut down comes back when the master repairs it;
// until then the others serve.
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
			// A port that the kernel chose is not bound any more.
			if err := unix.Bind(r.kept[0], bound); err != nil && err != unix.EINVAL {
				t.Fatal(err)
			}
			if err := unix.Listen(r.kept[0], 16); err != nil {
				t.Fatal(err)
			}
			ask(t, r.dial(0), "y", "y")
		}
		if n := r.logs.FilterMessage("listener broken").Len(); n != 2 {
			t.Errorf("said so %d times, want once for each time", n)
		}
	}
}
