package master

import (
	"errors"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"prefork/internal/logs"
	"prefork/internal/script"
	"prefork/ipc"
	"prefork/master/policy"
)

// applyNote logs a line of the policy, with what only the master knows about
// the worker.
func (m *Master) applyNote(a policy.Note) {
	ce := m.log.Check(zap.DebugLevel+zapcore.Level(a.Level), a.Message)
	if ce == nil {
		return
	}
	fields := make([]zap.Field, 0, len(a.Fields)+4)
	w := m.workers[a.ID]
	if w != nil {
		fields = w.about()
	}
	for _, f := range a.Fields {
		if w != nil && (f.Key == "slot" || f.Key == "pid" || f.Key == "generation") {
			continue
		}
		fields = append(fields, zap.Any(f.Key, f.Value))
	}
	if w != nil && w.exitFields != nil {
		fields = append(fields, w.exitFields...)
		w.exitFields = nil
	}
	ce.Write(fields...)
}

// limitFailureLog limits log lines about failures in mode forking: each process
// could log its own, as often as a client causes one.
func (m *Master) limitFailureLog(w *worker) {
	g := m.generations[w.generation]
	if g == nil || !g.config.Policy.OneShot || w.counted.failed == 0 {
		return
	}
	m.suppressed += uint64(min(w.memory.Unsaid.Load(), 1))
	if !m.failures.Allow(time.Now()) {
		m.setQuiet(1)
	}
}

// setQuiet tells the workers whether to log what clients can cause.
func (m *Master) setQuiet(quiet uint32) {
	if m.quiet == quiet {
		return
	}
	m.quiet = quiet
	for _, w := range m.workers {
		w.memory.Quiet.Store(quiet)
	}
}

// logSuppressed logs how many failures were not logged, and lets workers log
// again.
func (m *Master) logSuppressed() {
	if m.suppressed > 0 {
		m.log.Warn("failures not logged", zap.Uint64("count", m.suppressed))
		m.suppressed = 0
	}
	m.setQuiet(0)
}

// reopenLogs opens the log file and the access log again, here and in every
// worker.
func (m *Master) reopenLogs() {
	if m.logFile.path != "" {
		m.reopen(&m.logFile)
	}
	switch m.access.path {
	case "":
		if m.logFile.path == "" {
			m.log.Info("no log file to reopen")
		}
	case accessStdout:
	default:
		m.reopen(&m.access.logFile)
	}
}

// logReopened lets the workers reopen their log as well.
func (m *Master) logReopened(_ int, err error) {
	if err != nil {
		m.log.Error("log file not reopened", zap.Error(err))
		return
	}
	m.giveOrderToAll(ipc.TypeReopen)
	m.log.Info("log file reopened")
}

func (m *Master) level() string { return m.options.Level.Level().String() }

// setLevel sets the log level, here and in every worker.
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
	m.giveOrderToAll(ipc.TypeLogLevel)
	m.log.Info("log level set", zap.String("level", name))
	return nil
}

// formatAll formats actions for the debug log. Notes have their own lines.
func formatAll(actions []policy.Action) []string {
	out := make([]string, 0, len(actions))
	for _, a := range actions {
		if _, isNote := a.(policy.Note); !isNote {
			out = append(out, script.Format(a))
		}
	}
	return out
}
