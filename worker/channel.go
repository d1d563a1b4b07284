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
	short := false // of descriptors; logged once, because the master repeats the order
	for {
		m, fds, err := w.channel.Receive()
		if err != nil {
			if bad, ok := errors.AsType[*ipc.ProtocolError](err); ok {
				if lost := errors.Is(err, ipc.ErrLostDescriptors); !lost || !short {
					short = lost
					w.log.Warn("message not understood", zap.Error(bad))
				}
				continue
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				w.log.Warn("channel broken", zap.Error(err))
			}
			close(orphaned)
			w.inbox.post(masterGone{})
			return
		}
		switch o := m.(type) {
		case *ipc.Reopen:
			if w.reopen(fds[0]) {
				short = false
				w.acknowledge(o.Order)
			}
		case *ipc.AccessLog:
			if err := w.accessFile.open(fds[0]); err != nil {
				w.log.Warn("access log not opened", zap.Error(err))
				continue
			}
			short = false
			w.acknowledge(o.Order)
		case *ipc.Stop:
			close(stopped)
			w.inbox.post(o)
			return
		case *ipc.Dump:
			w.dump()
		case *ipc.LogLevel:
			w.setLevel(o.Level)
			w.acknowledge(o.Order)
		case *ipc.Resume, *ipc.Drain, *ipc.LameDuck:
			w.inbox.post(o)
		default:
			w.log.Debug("message ignored", zap.String("event", string(m.Type())))
		}
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
