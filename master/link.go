package master

import (
	"fmt"
	"iter"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// link is a process that the master has started, and the channel to it. The owner
// loop owns it; the goroutines that read the channel and wait for the exit use only
// the channel and the pidfd.
type link struct {
	to            linked
	pid           int
	started       time.Time
	memory        *ipc.Slot
	channel       *ipc.Channel
	outbox        outbox
	crash         int      // memfd for the runtime's last words
	pidfd         *os.File // non-blocking, in the netpoller
	helloReceived bool
	process       process     // from the last sample
	exitFields    []zap.Field // for the log line about the exit
}

// linked is what runs in the process of a link. The owner loop calls it.
type linked interface {
	about(more ...zap.Field) []zap.Field // the fields of a log line, and more
	interval() time.Duration             // between many messages; any goroutine may call it
	received(m *Master, msg ipc.Message)
	unfit(m *Master, why string)         // the master cannot work with it
	closed(m *Master)                    // its channel, and the process has not exited
	exited(m *Master, e exit, err error) // it is reaped, or err says why not
}

// links returns the links to all processes.
func (m *Master) links() iter.Seq[*link] {
	return func(yield func(*link) bool) {
		for _, w := range m.workers {
			if !yield(&w.link) {
				return
			}
		}
		for z := range m.zygotes {
			if !yield(&z.link) {
				return
			}
		}
	}
}

// theirs are the descriptors of a link that the process gets. The master closes its
// own copies then.
type theirs struct{ channel, memory int }

func (t theirs) close() { _, _ = unix.Close(t.channel), unix.Close(t.memory) }

// prepare makes what a process gets from the master.
func (l *link) prepare() (theirs, error) {
	crash, err := ipc.NewCrashFile()
	if err != nil {
		return theirs{}, err
	}
	memory, memoryFD, err := ipc.NewSlot()
	if err != nil {
		_ = unix.Close(crash)
		return theirs{}, err
	}
	ours, channelFD, err := ipc.Pair()
	if err != nil {
		_, _, _ = unix.Close(crash), memory.Close(), unix.Close(memoryFD)
		return theirs{}, err
	}
	t := theirs{channel: channelFD, memory: memoryFD}
	channel, err := ipc.NewChannel(ours)
	if err != nil {
		_, _, _ = unix.Close(crash), memory.Close(), unix.Close(ours)
		t.close()
		return theirs{}, err
	}
	l.crash, l.memory, l.channel = crash, memory, channel
	return t, nil
}

// watch starts the two goroutines that end with l.
func (m *Master) watch(l *link) {
	channelDone := make(chan struct{}) // closed at the end of the channel
	ended := make(chan struct{})       // closed at the end of the process
	go m.readChannel(l, channelDone, ended)
	go m.watchExit(l, channelDone, ended)
}

// setPidfd takes ownership of pidfd, unless there is an error.
func (l *link) setPidfd(pidfd int) error {
	if pidfd < 0 {
		return fmt.Errorf("kernel gave no pidfd for process %d; Linux 5.4 or later is needed", l.pid)
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return fmt.Errorf("make pidfd non-blocking: %w", err)
	}
	l.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	return nil
}

// close frees what the master has of a process that is gone. It may take long: the
// channel's end closes descriptors that the process has sent, and Receive may be
// closing others.
func (l *link) close() {
	_ = l.pidfd.Close() // nil if there was no process
	_ = unix.Close(l.crash)
	_ = l.memory.Close()
	_ = l.channel.Close()
}
