package master

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// startGrace is how long the end of a start waits for a step that ignores its
// context.
const startGrace = time.Second

// start acquires what the master needs. A signal or ctx can end it: resolving a
// host name may take long. Other commands wait for the owner loop. The returned
// function releases what was acquired.
func (m *Master) start(ctx context.Context, acquire func(context.Context) ([]func(), error)) (release func(), err error) {
	acquiring, cancel := context.WithCancel(ctx)
	defer cancel()
	type acquired struct {
		release func()
		err     error
	}
	done, abandoned := make(chan acquired), make(chan struct{})
	go func() {
		closers, err := acquire(acquiring)
		release := func() {
			for _, release := range slices.Backward(closers) {
				release()
			}
		}
		select {
		case done <- acquired{release, err}:
		case <-abandoned:
			release()
		}
	}()
	select {
	case a := <-done:
		if a.err == nil || ctx.Err() == nil {
			return a.release, a.err
		}
		go func() { done <- a }() // it saw the end of ctx first
	case s := <-m.signals[queueEnd]:
		m.received(s)
	case <-m.drains:
	case <-m.stops:
	case <-ctx.Done():
	}
	cancel()
	// Not by the machine, which acquire may be using.
	m.result = &policy.Exit{Leftovers: m.options.Generation.Policy.WithDefaults().LeftoverTime() - m.now()}
	m.log.Info("stopped", zap.Int("exit_code", 0), zap.Duration("duration", m.now()))
	select {
	case a := <-done:
		return a.release, nil
	case <-time.After(startGrace):
		close(abandoned)
		return func() {}, nil
	}
}

// acquire opens everything that the master holds for its whole life. The
// returned functions release it, in reverse order, also after an error.
func (m *Master) acquire(ctx context.Context) (closers []func(), err error) {
	// Descriptors that this process inherited are not for the workers. Kernels
	// before 5.11 do not know the flag.
	_ = unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC)
	var pid *pidFile
	if m.options.PIDFile != "" {
		if pid, err = lockPIDFile(m.options.PIDFile); err != nil {
			return closers, err
		}
		closers = append(closers, pid.remove)
	}
	if m.devNull, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return closers, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	closers = append(closers, func() { _ = unix.Close(m.devNull) })
	if m.timer, err = newWakeTimer(func() { m.watchLoop(0) }); err != nil {
		return closers, err
	}
	closers = append(closers, m.timer.close)

	if m.passed, err = receiveSockets(); err != nil {
		return closers, &ConfigError{err}
	}
	closers = append(closers, m.passed.close)
	if err := m.openNotifier(); err != nil {
		return closers, err
	}
	closers = append(closers, m.closeNotifier)
	m.base.Policy = m.base.Policy.WithDefaults()
	if problems := m.base.Policy.Validate(); len(problems) > 0 {
		return closers, &ConfigError{errors.Join(problems...)}
	}
	if m.leftovers = findLeftovers(); len(m.leftovers) > 0 {
		m.log.Info("workers of an earlier master are finishing",
			zap.Int("count", len(m.leftovers)), zap.Duration("duration", m.base.Policy.LeftoverTime()))
	}
	closers = append(closers, m.closeLeftovers)
	if m.board, err = ipc.NewScoreboard(m.base.Policy.Slots); err != nil {
		return closers, err
	}
	closers = append(closers, func() { _ = m.board.Close() })

	first, err := m.bind(ctx, m.base, m.passed.kept())
	if err != nil {
		return closers, err
	}
	m.current = first
	m.addGeneration(first)
	closers = append(closers, m.closeListeners)
	m.claim()

	return m.openFiles(ctx, pid, closers)
}

// openFiles opens the control socket and the logs, and looks after the pid file.
func (m *Master) openFiles(ctx context.Context, pid *pidFile, closers []func()) ([]func(), error) {
	var err error
	if m.options.Control != "" {
		control, err := m.serveControl(m.options.Control)
		if err != nil {
			return closers, err
		}
		closers = append(closers, control.shutdown, m.keepControl(control))
	}
	if pid != nil {
		closers = append(closers, m.keepPIDFile(pid))
	}
	if m.access.path != "" {
		if m.access.fd, err = m.access.openFirst(ctx); err != nil {
			return closers, err
		}
		closers = append(closers, m.access.close)
	}
	if m.logFile.path != "" {
		// Last: errors so far belong on the standard error of the caller.
		fd, err := m.logFile.openFirst(ctx)
		if err == nil {
			err = replaceStderr(fd)
		}
		if err != nil {
			return closers, err
		}
	}
	return closers, nil
}
