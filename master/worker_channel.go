package master

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// A worker sends a few messages in its life, and a zygote one for each worker. One that
// sends more is read slowly, until its channel is full.
const (
	messageBurst    = 256                    // at once
	messageInterval = 50 * time.Millisecond  // between later ones
	zygoteInterval  = 100 * time.Microsecond // of a zygote
)

// readChannel passes messages to the owner loop. Receive closes descriptors
// that the process may have sent, which can take as long as the process likes;
// nothing waits for this goroutine.
func (m *Master) readChannel(l *link, channelDone chan<- struct{}, ended <-chan struct{}) {
	pace := rateLimit{burst: messageBurst, interval: l.to.interval()}
	flooded := false
	for {
		msg, fds, err := l.channel.Receive()
		for _, fd := range fds {
			_ = unix.Close(fd) // no message has any
		}
		var bad *ipc.ProtocolError
		switch {
		case err == nil:
			m.post(func(m *Master) { l.to.received(m, msg) })
		case errors.As(err, &bad):
			m.post(func(m *Master) { l.to.unfit(m, err.Error()) })
		default:
			close(channelDone)
			m.channelClosed(l, err, ended)
			return
		}
		if wait := pace.next(time.Now()); wait > 0 {
			if !flooded {
				flooded = true
				m.log.Warn("worker sends too many messages", l.to.about()...)
			}
			sleep(wait, ended) // what is left after its exit is limited
		}
	}
}

// channelClosed tells that the channel is closed, unless the process exits now.
func (m *Master) channelClosed(l *link, err error, ended <-chan struct{}) {
	if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		m.post(func(m *Master) { l.to.unfit(m, err.Error()) })
		return
	}
	sleep(shortWait, ended) // usually the process has exited by then
	select {
	case <-ended:
	default:
		m.post(l.to.closed)
	}
}

// sleep returns after d, or when done is closed.
func sleep(d time.Duration, done <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-done:
	}
}

// rateLimit allows burst events at once, and one per interval in the long run.
type rateLimit struct {
	burst    int
	interval time.Duration
	due      time.Time // when the events so far are paid for
}

// next counts an event and returns how long to wait before the next one.
func (p *rateLimit) next(now time.Time) time.Duration {
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(p.interval)
	return max(0, p.due.Sub(now)-time.Duration(p.burst)*p.interval)
}

func (w *worker) interval() time.Duration { return messageInterval }

func (w *worker) closed(m *Master) {
	if m.workers[w.id] == w {
		m.step(policy.Closed{ID: w.id})
	}
}

func (w *worker) unfit(m *Master, why string) {
	if m.workers[w.id] == w {
		m.step(policy.Unfit{ID: w.id, Err: why})
	}
}

// greeted handles the Hello of a process.
func (m *Master) greeted(l *link, msg *ipc.Hello) {
	l.helloReceived = true
	if msg.Protocol != ipc.ProtocolVersion || msg.Build != m.options.Build {
		l.to.unfit(m, fmt.Sprintf("has protocol %d of build %.64q, the master has %d of %q",
			msg.Protocol, msg.Build, ipc.ProtocolVersion, m.options.Build))
	}
}

// received handles a message from a worker.
func (w *worker) received(m *Master, msg ipc.Message) {
	if m.workers[w.id] != w {
		return
	}
	if _, isHello := msg.(*ipc.Hello); isHello == w.helloReceived {
		w.unfit(m, fmt.Sprintf("sent %s out of order", msg.Type()))
		return
	}
	switch msg := msg.(type) {
	case *ipc.Hello:
		m.greeted(&w.link, msg)
	case *ipc.Ready:
		m.readProcessOf(w)
		m.step(policy.Ready{ID: w.id})
	case *ipc.Failed:
		m.step(policy.Failed{ID: w.id, Code: msg.Code, Err: reason(msg.Message)})
	case *ipc.Report:
		switch msg.State {
		case ipc.StateBusy:
			m.step(policy.Busy{ID: w.id, Idle: w.memory.Accepted.Load() == 0})
		case ipc.StateActive:
			m.step(policy.Accepted{ID: w.id})
		case ipc.StateLeaving:
			m.step(policy.Terminated{ID: w.id})
		case ipc.StateDraining:
			w.serving, m.peersChanged = false, true
			m.step(policy.Leaving{ID: w.id})
		}
	case *ipc.Drained:
		if w.drained {
			return
		}
		w.drained = true
		w.cut = min(max(0, msg.Cut), mostActive)
		if msg.Cut > 0 && !w.stopped {
			m.log.Warn("connections cut at the drain deadline", w.about(zap.Int("connections", msg.Cut))...)
		}
		m.step(policy.Drained{ID: w.id})
	case *ipc.Ack:
		w.acknowledged(msg.Order)
	case *ipc.Forked:
		w.unfit(m, "sent forked, which only a zygote may send")
	case *ipc.Unknown:
		m.log.Debug("unknown message", w.about(zap.String("event", string(msg.Name)))...)
	default:
		w.unfit(m, fmt.Sprintf("sent %s, which only the master may send", msg.Type()))
	}
}

// longestReason limits the error of a worker that failed to start, in bytes.
const longestReason = 4 << 10

// reason makes such an error safe to print: it becomes the error of Run, which
// programs write to terminals.
func reason(text string) string {
	if len(text) > longestReason {
		text = strings.ToValidUTF8(text[:longestReason], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
