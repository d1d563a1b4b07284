package master

import (
	"fmt"
	"strings"
	"unicode"

	"go.uber.org/zap"

	"prefork/ipc"
	"prefork/master/policy"
)

// message acts on what a worker said.
func (m *Master) onMessage(w *worker, msg ipc.Message) {
	if m.workers[w.id] != w {
		return
	}
	if _, isHello := msg.(*ipc.Hello); isHello == w.helloReceived {
		m.unfit(w, fmt.Sprintf("said %s out of turn", msg.Type()))
		return
	}
	switch msg := msg.(type) {
	case *ipc.Hello:
		w.helloReceived = true
		if msg.Protocol != ipc.ProtocolVersion || msg.Build != m.options.Build {
			m.unfit(w, fmt.Sprintf("speaks protocol %d of build %.64q, the master %d of %q",
				msg.Protocol, msg.Build, ipc.ProtocolVersion, m.options.Build))
		}
	case *ipc.Ready:
		m.readProcessOf(w)
		m.step(policy.Ready{ID: w.id})
	case *ipc.Failed:
		m.step(policy.Failed{ID: w.id, Code: msg.Code, Err: reason(msg.Message)})
	case *ipc.Report:
		switch msg.State {
		case ipc.StateBusy:
			m.step(policy.Busy{ID: w.id, Idle: w.memory.Accepted.Load() == 0})
		case ipc.StateLeaving:
			m.step(policy.Terminated{ID: w.id})
		case ipc.StateDraining:
			w.serving, m.peersChanged = false, true
			m.step(policy.Leaving{ID: w.id})
		default:
			w.report = *msg
		}
	case *ipc.Drained:
		if w.drained {
			return
		}
		w.drained = true
		w.cut = min(max(0, msg.Cut), mostActive)
		if msg.Cut > 0 && !w.stopped {
			m.log.Warn("connections cut at the drain deadline", m.about(w, zap.Int("connections", msg.Cut))...)
		}
		m.step(policy.Drained{ID: w.id})
	case *ipc.Ack:
		w.acknowledged(msg.Order)
	case *ipc.Unknown:
		m.log.Debug("unknown message", m.about(w, zap.String("event", string(msg.Name)))...)
	default:
		m.unfit(w, fmt.Sprintf("sent %s, which is the master's to say", msg.Type()))
	}
}

// longestReason is how much of a worker's reason for its failure is passed on, in
// bytes.
const longestReason = 4 << 10

// reason returns why a worker failed as it may be printed: the text becomes the
// error of Run, which a program writes to its terminal.
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
