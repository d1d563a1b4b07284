package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// inheritance has the descriptors that a worker inherits.
type inheritance struct {
	channel, scoreboard, slot, crash int
	listener                         func(i int) int // the descriptor of Hello.Listeners[i]
	terminate                        int             // see countTerm; -1 in a zygote and if the process is not the worker's own
	zygote                           string          // the value of ipc.ZygoteVariable
}

// Run serves under the master that started this process, and returns nil when it
// has drained or was stopped. It owns the descriptors from 3 on. The end of ctx has
// the effect of SIGTERM: it asks the master for a drain.
//
// An error is an *ExitError with the status with which the process must exit; the
// master has been told, if possible. After Run the process must exit: handlers that
// ignored the drain's deadline may still run.
func Run(ctx context.Context, o Options) error {
	if !Inherited() {
		return failure(errors.New("run worker: no master has started this process"))
	}
	nameProcess()
	in := inheritance{
		channel: ipc.ChannelFD, scoreboard: ipc.ScoreboardFD, slot: ipc.SlotFD, crash: ipc.CrashFD,
		listener:  func(i int) int { return ipc.ListenerFD + i },
		terminate: -1,
		zygote:    inherited().zygote,
	}
	if in.zygote != "" {
		discardSignals(append(discarded, unix.SIGTERM)...)
		return runZygote(ctx, o, in)
	}
	discardSignals(discarded...)
	var err error
	if in.terminate, err = countTerm(); err != nil {
		return failure(err)
	}
	return run(ctx, o, in)
}

// run is Run with the given descriptors.
func run(ctx context.Context, o Options, in inheritance) error {
	channel, err := ipc.NewChannel(in.channel)
	if err != nil {
		return failure(err)
	}
	w := &worker{opt: o, channel: channel, log: zap.NewNop(), level: zap.NewAtomicLevel()}
	defer w.release(in)
	hello, err := w.begin(in)
	if err != nil {
		return w.fail(err)
	}
	w.exits = w.once && in.terminate >= 0
	ctx, cancel := signalled(ctx, in.terminate, w.once)
	defer cancel()
	// The loop of a worker with many connections keeps one P while it waits for a
	// moment; see worker/poll.
	if !w.once && runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
	listeners, err := w.open(hello, in)
	if err == nil {
		err = w.takeSlot(hello.Slot, in.slot)
	}
	if err == nil {
		w.log = w.logOf("worker")
		w.inbox.wake, err = newWakeup()
	}
	if err == nil {
		return w.setUpAndWork(ctx, listeners)
	}
	closeListeners(listeners)
	return w.fail(err)
}

// begin opens the crash file, and learns from the master what to do.
func (w *worker) begin(in inheritance) (*ipc.Hello, error) {
	if err := w.openCrash(in.crash); err != nil {
		return nil, failure(err)
	}
	hello, err := w.exchangeHello()
	if err != nil {
		return nil, err
	}
	return hello, w.readConfig(hello)
}

// open opens what does not depend on the slot. On error it returns the listeners that it
// has opened.
func (w *worker) open(hello *ipc.Hello, in inheritance) (listeners []*listener, err error) {
	if w.board, err = ipc.OpenScoreboard(in.scoreboard, hello.Slots); err != nil {
		return nil, failure(err)
	}
	w.generation = hello.Generation
	inherited := make([]Listener, len(hello.Listeners))
	for i, ln := range hello.Listeners {
		inherited[i] = Listener{Name: ln.Name, FD: in.listener(i)}
	}
	if listeners, err = openListeners(inherited, false); err == nil {
		err = w.makeLog(hello.LogFormat, hello.LogLevel)
	}
	return listeners, err
}

// logOf returns the log that makeLog has made, with the fields of this process.
func (w *worker) logOf(role string) *zap.Logger {
	fields := append(make([]zap.Field, 0, 4), zap.String("role", role))
	if w.index >= 0 {
		fields = append(fields, zap.Int("slot", w.index))
	}
	return w.log.WithLazy(append(fields, zap.Int("pid", os.Getpid()), zap.Int("generation", w.generation))...)
}

// setUpAndWork listens to the master from here to the end, also during the set-up,
// which may take long: if the master dies or stops the worker meanwhile, it exits.
func (w *worker) setUpAndWork(ctx context.Context, listeners []*listener) error {
	stopped, orphaned, listened := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(listened)
		w.listen(stopped, orphaned)
	}()
	defer func() {
		if !w.exits {
			_ = w.channel.Close()
			<-listened
		}
	}()
	// Before Ready a SIGTERM is only passed on; the master decides.
	unwatch := context.AfterFunc(ctx, func() { w.send(&ipc.Report{State: ipc.StateLeaving}) })
	defer unwatch()
	ready := make(chan error, 1)
	go func() { ready <- w.setUp(ctx) }()
	select {
	case err := <-ready:
		defer w.closeAccess()
		if err == nil {
			unwatch()
			return w.work(ctx, listeners, stopped)
		}
		w.inbox.wake.close()
		closeListeners(listeners)
		return w.fail(err)
	case <-stopped:
	case <-orphaned:
	}
	select {
	case err := <-ready: // at the same moment
		if err == nil {
			w.stopProgram()
		}
	default:
	}
	w.log.Info("stopped before it was ready")
	w.inbox.wake.close()
	closeListeners(listeners)
	return nil
}

// exchangeHello exchanges the Hellos.
func (w *worker) exchangeHello() (*ipc.Hello, error) {
	err := w.channel.Send(&ipc.Hello{Protocol: ipc.ProtocolVersion, Build: w.opt.Build, PID: os.Getpid()})
	if err != nil {
		return nil, failure(fmt.Errorf("send hello: %w", err))
	}
	m, fds, err := w.channel.Receive()
	for errors.Is(err, ipc.ErrNothing) {
		_, _ = awaitInput(w.raw.FD()) // a zygote's
		m, fds, err = w.channel.Receive()
	}
	if err != nil {
		return nil, failure(fmt.Errorf("receive hello: %w", err))
	}
	hello, ok := m.(*ipc.Hello)
	if !ok {
		closeDescriptors(fds)
		return nil, failure(fmt.Errorf("master sent %s before hello", m.Type()))
	}
	if hello.Protocol != ipc.ProtocolVersion {
		return nil, configuration(fmt.Errorf("master has protocol %d, this build %d", hello.Protocol, ipc.ProtocolVersion))
	}
	return hello, nil
}

// openCrash makes the runtime write to the crash file when the process crashes.
func (w *worker) openCrash(fd int) error {
	unix.CloseOnExec(fd)
	w.crash = os.NewFile(uintptr(fd), "crash")
	if w.crash == nil {
		return fmt.Errorf("open crash file: bad descriptor %d", fd)
	}
	return w.setCrashOutput()
}

// setCrashOutput gives the runtime a copy of the crash file.
func (w *worker) setCrashOutput() error {
	if err := debug.SetCrashOutput(w.crash, debug.CrashOptions{}); err != nil {
		return fmt.Errorf("set crash output: %w", err)
	}
	return nil
}

// release closes what the worker has inherited, apart from the listeners. If the
// process exits next the kernel does that, for less.
func (w *worker) release(in inheritance) {
	if w.exits {
		return
	}
	_ = w.channel.Close()
	_, _ = unix.Close(in.slot), unix.Close(in.scoreboard)
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{}) // cannot fail for nil
	if w.crash != nil {
		_ = w.crash.Close()
	}
}

// closeAccess closes the access log, unless a handler may still write to it.
func (w *worker) closeAccess() {
	if w.table == nil || w.table.active() == 0 {
		w.accessFile.close()
	}
}

// makeLog makes the log with the program's NewLogger; without it there is no log.
func (w *worker) makeLog(format, level string) (err error) {
	if w.opt.NewLogger == nil {
		w.log, w.level = zap.NewNop(), zap.NewAtomicLevel()
		return nil
	}
	if w.log, w.level, err = w.opt.NewLogger(format, level); err != nil {
		w.log = zap.NewNop()
		return configuration(fmt.Errorf("make log: %w", err))
	}
	return nil
}

// readConfig reads the configuration, to which setUp adds the defaults.
func (w *worker) readConfig(hello *ipc.Hello) error {
	var err error
	if w.cfg, err = parseConfig(hello.Config); err != nil {
		return configuration(fmt.Errorf("read configuration: %w", err))
	}
	w.once = w.cfg.Mode == Forking
	return nil
}

// setUp configures and starts the program. A panic is not a configuration error, so
// that the master tries again.
func (w *worker) setUp(ctx context.Context) error {
	cfg, opt, err := configure(w.cfg, w.opt)
	if _, panicked := errors.AsType[*PanicError](err); panicked {
		return failure(err)
	}
	if err != nil {
		return configuration(err)
	}
	w.cfg, w.opt = cfg, opt
	prepare := w.prepare
	if w.forks { // each forked worker has its own table
		prepare = w.prepareProgram
	}
	if err := prepare(ctx); err != nil {
		return failure(err)
	}
	return nil
}

// fail tells the master why the worker cannot start.
func (w *worker) fail(err error) error {
	exit := failure(err)
	w.send(&ipc.Failed{Code: exit.Code, Message: err.Error()})
	return exit
}

// work serves, from Ready to the end.
func (w *worker) work(ctx context.Context, listeners []*listener, stopped <-chan struct{}) error {
	defer w.stopProgram()
	if takesDescriptors(listeners) {
		debug.SetMaxThreads(defaultMaxThreads + w.cfg.MaxConnections + maxLingering)
	}
	l, err := newLoop(w, listeners)
	if err != nil {
		w.inbox.wake.close()
		closeListeners(listeners)
		return w.fail(err)
	}
	w.publishState(ipc.Paused)
	if err := w.channel.Send(&ipc.Ready{}); err != nil {
		l.close()
		return failure(fmt.Errorf("send ready: %w", err))
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { w.inbox.post(terminated{}) })()
	}
	drained, err := w.supervise(l, stopped)
	if drained {
		w.send(&ipc.Drained{Cut: l.cut})
	}
	return err
}

// stopGrace is how long the loop may take to end after a Stop.
const stopGrace = 100 * time.Millisecond

// supervise runs the loop and the Service. drained says that a drain has ended.
func (w *worker) supervise(l *loop, stopped <-chan struct{}) (drained bool, err error) {
	if w.service != nil {
		go w.runService()
	}
	ended := make(chan error, 1)
	go l.runUntilEnd(ended)
	select {
	case err := <-ended:
		return err == nil && l.draining() && !l.stopped, l.result(err)
	case <-stopped:
	}
	select {
	case err := <-ended:
		return false, l.result(err)
	case <-time.After(stopGrace): // it hangs
		return false, nil
	}
}

var errLoopExited error = failure(fmt.Errorf("loop ended: %w", ErrGoexit))

// runUntilEnd runs the loop and sends its error. If a handler in mode Event ends the
// goroutine, the loop goes on on another one.
func (l *loop) runUntilEnd(ended chan<- error) {
	err := errLoopExited
	defer func() {
		if l.events != nil && l.events.exited != nil {
			go l.runUntilEnd(ended)
			return
		}
		l.closeUntilEnd(ended, err)
	}()
	err = l.run()
}

// closeUntilEnd closes the loop. If a handler's Close in mode Event ends the goroutine,
// it goes on on another one.
func (l *loop) closeUntilEnd(ended chan<- error, err error) {
	closed := false
	defer func() {
		if !closed {
			go l.closeUntilEnd(ended, err)
			return
		}
		ended <- err
	}()
	l.close()
	closed = true
}

// result is the loop's error, or else the reason of its drain.
func (l *loop) result(err error) error {
	if err == nil && l.exitErr != nil {
		return l.exitErr
	}
	return err
}
