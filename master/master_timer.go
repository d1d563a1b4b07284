package master

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// wakeTimer wakes the owner loop. It is a timerfd in the netpoller: the kernel may
// delay a wait with a timeout by a thousandth, and Go's monitor thread, which knows
// the timeout as well, wakes every 20 µs until it is over. That is more than the
// rest of an idle master does. For the same reason the loop has no other timer.
type wakeTimer struct {
	C    chan struct{} // has room for one
	file *os.File
	at   time.Time // zero: not set, or C has got it
}

// newWakeTimer returns a timer that calls look, on a goroutine of its own, before each
// wake-up.
func newWakeTimer(look func()) (*wakeTimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	t := &wakeTimer{C: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "timer")}
	go func() {
		for count := make([]byte, 8); ; {
			if _, err := t.file.Read(count); err != nil {
				return // closed
			}
			look()
			select {
			case t.C <- struct{}{}:
			default:
			}
		}
	}()
	return t, nil
}

// set replaces the time of the next wake-up. The loop may wake earlier.
func (t *wakeTimer) set(at time.Time) {
	if at.Equal(t.at) {
		return
	}
	t.at = at
	spec := &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(1, time.Until(at))))}
	// It fails only for a closed descriptor or an invalid time.
	_ = onDescriptor(t.file, func(fd int) error { return unix.TimerfdSettime(fd, 0, spec, nil) })
}

func (t *wakeTimer) close() { _ = t.file.Close() }
