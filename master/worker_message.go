package master

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"prefork/internal/logs"
	"prefork/ipc"
	"prefork/master/policy"
)

type zapLevel = zapcore.Level

// partingTime bounds two waits at a worker's end that are over at once unless
// something is wrong: for its last messages after its exit, and for its exit
// after it closed the channel.
const partingTime = 2 * time.Second

// follow starts the two goroutines that watch a worker. Both end with it.
func (m *Master) follow(w *worker) {
	heard := make(chan struct{}) // closed at the end of the channel
	ended := make(chan struct{}) // closed at the end of the process
	go m.hear(w, heard, ended)
	go m.attend(w, heard, ended)
}

// attend waits for the worker's end. The exit is told after the last message,
// which may be the reason for it.
func (m *Master) attend(w *worker, heard <-chan struct{}, ended chan<- struct{}) {
	e, err := w.watch()
	close(ended)
	select {
	case <-heard:
	case <-time.After(partingTime): // something else holds the other end
	}
	m.post(func(m *Master) { m.exited(w, e, err) })
}

func (m *Master) unfit(w *worker, why string) {
	if m.workers[w.id] == w {
		m.step(policy.Unfit{ID: w.id, Err: why})
	}
}

// message acts on what a worker said.
func (m *Master) message(w *worker, msg ipc.Message) {
	if m.workers[w.id] != w {
		return
	}
	if _, isHello := msg.(*ipc.Hello); isHello == w.greeted {
		m.unfit(w, fmt.Sprintf("said %s out of turn", msg.Type()))
		return
	}
	switch msg := msg.(type) {
	case *ipc.Hello:
		w.greeted = true
		if msg.Protocol != ipc.ProtocolVersion || msg.Build != m.options.Build {
			m.unfit(w, fmt.Sprintf("speaks protocol %d of build %.64q, the master %d of %q",
				msg.Protocol, msg.Build, ipc.ProtocolVersion, m.options.Build))
		}
	case *ipc.Ready:
		m.look(w)
		m.step(policy.Ready{ID: w.id})
	case *ipc.Failed:
		m.step(policy.Failed{ID: w.id, Code: msg.Code, Message: reason(msg.Message)})
	case *ipc.Report:
		switch msg.State {
		case ipc.StateBusy:
			m.step(policy.Busy{ID: w.id})
		case ipc.StateLeaving:
			m.step(policy.Terminated{ID: w.id})
		case ipc.StateDraining:
			w.serving, m.relist = false, true
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

// exited accounts for a worker that is gone and tells the policy.
func (m *Master) exited(w *worker, e exit, err error) {
	if err != nil {
		m.log.Error("exit not seen", m.about(w, zap.Error(err))...)
		e = exit{code: -1}
	}
	m.count(w)
	clean := e.signal == 0 && e.code == 0
	// What it has cut it has counted as failed. What it held besides it took along,
	// also with exit status 0: a handler may call os.Exit.
	lost := w.lost()
	m.totals.Failed += uint64(lost)
	m.slots[w.slot].Failed += uint64(lost)
	if lost += w.cut; lost > 0 {
		w.last = append(w.last, zap.Int("connections_lost", lost))
	}
	m.bury(w, e.cpu)
	m.noteFailures(w)
	if words := w.evidence(); words != "" && !clean && m.evidences.Allow(time.Now()) {
		w.last = append(w.last, zap.String("evidence", words))
	}
	m.board.Peer(w.slot).Reset()
	m.step(policy.Exited{ID: w.id, Code: e.code, Signal: e.signal, Lost: lost})
	delete(m.workers, w.id)
	go w.close() // the owner loop does not wait for what a worker has left behind
}

// noteFailures limits what is logged of the failures of workers that serve once:
// each of them could log its own, as often as a client likes to cause one.
func (m *Master) noteFailures(w *worker) {
	g := m.generations[w.generation]
	if g == nil || !g.config.Policy.OneShot || w.counted.failed == 0 {
		return
	}
	m.unsaid += uint64(min(w.memory.Unsaid.Load(), 1))
	if !m.failures.Allow(time.Now()) {
		m.beQuiet(1)
	}
}

// beQuiet tells the workers whether to log what clients can cause.
func (m *Master) beQuiet(quiet uint32) {
	if m.quiet == quiet {
		return
	}
	m.quiet = quiet
	for _, w := range m.workers {
		w.memory.Quiet.Store(quiet)
	}
}

// logUnsaid says how many failures were not logged, and lets the next ones be.
func (m *Master) logUnsaid() {
	if m.unsaid > 0 {
		m.log.Warn("failures not logged", zap.Uint64("count", m.unsaid))
		m.unsaid = 0
	}
	m.beQuiet(0)
}

// reopenLog opens the log file afresh, here and in every worker.
func (m *Master) reopenLog() {
	if m.logFile.path == "" {
		if m.access.path == "" {
			m.log.Info("no log file to reopen")
		}
		return
	}
	m.reopen(&m.logFile, func(m *Master, _ int, err error) {
		if err != nil {
			m.log.Error("log file not reopened", zap.Error(err))
			return
		}
		m.instructAll(ipc.TypeReopen)
		m.log.Info("log file reopened")
	})
}

// level returns the level of the log, as workers are told it.
func (m *Master) level() string { return m.options.Level.Level().String() }

// setLevel sets the level of the log, here and in every worker.
func (m *Master) setLevel(name string) error {
	if name == "" {
		return errors.New("no log level given; want debug, info, warn or error")
	}
	level, err := logs.ParseLevel(name)
	if err != nil {
		return err
	}
	if level == m.options.Level.Level() {
		return nil
	}
	m.options.Level.SetLevel(level)
	m.instructAll(ipc.TypeLogLevel)
	m.log.Info("log level set", zap.String("level", name))
	return nil
}
