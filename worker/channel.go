package worker

import (
	"errors"
	"io"
	"os"
	"runtime"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// listen reads the channel until its end. It passes orders about connections to the
// loop, and carries out the others itself, so that dump and stop work even while
// the loop hangs. It closes stopped after a stop, and orphaned at EOF.
func (w *worker) listen(stopped, orphaned chan<- struct{}) {
	for {
		switch order := w.receive().(type) {
		case nil:
		case masterGone:
			close(orphaned)
			w.inbox.post(order)
			return
		case *ipc.Stop:
			close(stopped)
			w.inbox.post(order)
			return
		default:
			w.inbox.post(order)
		}
	}
}

// receive receives one message. It carries it out and returns nil, or returns an order
// for the loop.
func (w *worker) receive() (order any) {
	m, fds, err := w.channel.Receive()
	if err == nil {
		return w.obey(m, fds)
	}
	if errors.Is(err, ipc.ErrNothing) {
		return nil
	}
	if bad, ok := errors.AsType[*ipc.ProtocolError](err); ok {
		if lost := errors.Is(err, ipc.ErrLostDescriptors); !lost || !w.short {
			w.short = lost
			w.log.Warn("message not understood", zap.Error(bad))
		}
		return nil
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		w.log.Warn("channel broken", zap.Error(err))
	}
	return masterGone{}
}

// obey carries out m and returns nil, or returns it if it is for the loop.
func (w *worker) obey(m ipc.Message, fds []int) (order any) {
	switch o := m.(type) {
	case *ipc.Reopen:
		if w.reopen(fds[0]) {
			w.short = false
			w.acknowledge(o.Order)
		}
	case *ipc.AccessLog:
		if err := w.accessFile.open(fds[0]); err != nil {
			w.log.Warn("access log not opened", zap.Error(err))
			break
		}
		w.short = false
		w.acknowledge(o.Order)
	case *ipc.Dump:
		w.dump()
	case *ipc.LogLevel:
		w.setLevel(o.Level)
		w.acknowledge(o.Order)
	case *ipc.Resume, *ipc.Drain, *ipc.LameDuck, *ipc.Stop:
		return o
	case *ipc.Fork:
		if w.forks {
			return forkOrder{o, fds}
		}
		w.ignore(m, fds)
	default:
		w.ignore(m, fds)
	}
	return nil
}

func (w *worker) ignore(m ipc.Message, fds []int) {
	closeDescriptors(fds)
	w.log.Debug("message ignored", zap.String("event", string(m.Type())))
}

func closeDescriptors(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// acknowledge tells the master that an order was carried out.
func (w *worker) acknowledge(order uint64) {
	if order != 0 {
		w.send(&ipc.Ack{Order: order})
	}
}

// reopen makes the log file fd standard error.
func (w *worker) reopen(fd int) bool {
	defer unix.Close(fd)
	// Not close-on-exec: processes that a handler starts write to the same log.
	if err := unix.Dup3(fd, unix.Stderr, 0); err != nil {
		w.log.Warn("log not reopened", zap.Error(err))
		return false
	}
	return true
}

func (w *worker) setLevel(level string) {
	if err := w.level.UnmarshalText([]byte(level)); err != nil {
		w.log.Warn("log level not changed", zap.Error(err))
	}
}

// dump writes the stacks of all goroutines to the crash file.
func (w *worker) dump() {
	if w.crash == nil {
		return
	}
	for size := 64 << 10; ; size *= 2 {
		buf := make([]byte, size)
		n := runtime.Stack(buf, true)
		if n < size || size >= ipc.CrashSize {
			if err := ipc.WriteCrashFile(int(w.crash.Fd()), buf[:n]); err != nil {
				w.log.Warn("dump not written", zap.Error(err))
			}
			return
		}
	}
}

// send sends m. A loss is only logged: if the master is gone, listen reads EOF.
func (w *worker) send(m ipc.Message) {
	if err := w.channel.Send(m); err != nil {
		w.log.Debug("message lost", zap.String("event", string(m.Type())), zap.Error(err))
	}
}
