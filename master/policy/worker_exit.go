package policy

import (
	"fmt"
	"slices"
	"time"
)

// onExited logs the exit and decides what follows.
func (m *Machine) onExited(w *worker, ev Exited) {
	if !w.spawned {
		return // SpawnFailed follows
	}
	clean := ev.Code == 0 && ev.Signal == 0
	stray := m.strayed(w, ev)
	if stray {
		w.cause = causeStray
	}
	// After os.Exit(0) in a handler the connection was not served.
	why := w.exitCause(clean && (ev.Lost == 0 || w.cause != "" || !w.served))
	emptied := w.state == WorkerDraining && w.takesQueued && !w.served && clean
	draining := w.state == WorkerDraining || w.leaving
	m.noteExit(w, ev, why)
	m.remove(w)
	if emptied {
		w.gen.takingQueued = false // the queue is empty
	}
	if why.intended() {
		return
	}
	m.restarts++
	if stray {
		return // its place is free, and its generation is not blamed
	}
	if w.failure == "" {
		w.failure = exitDetail(w, ev)
	}
	switch {
	case w.served || why == causeLost:
		// Only its connection is lost.
	case w.cause == causeLeaving && w.gen == m.serving && m.state == Probation:
		m.rollBack(w.reason()) // it left because it had failed
	case draining && !w.gen.takingQueued:
		// Its place was free before.
	default:
		if m.state == Booting && !w.everReady && ev.Code == ExitConfig {
			m.abort(ExitConfig, w.reason())
			return
		}
		m.afterCrash(w)
	}
}

// straySignals end a program that does not handle them yet, and come from
// outside. Crashes have other signals, and the kernel's OOM killer sends
// SIGKILL.
var straySignals = []int{1, 2, 3, 10, 12, 14, 15} // HUP INT QUIT USR1 USR2 ALRM TERM

const (
	// strayTime is how long after Ready a worker may still die of a signal that
	// came before: Go's runtime yields while it ends the process.
	strayTime = time.Second

	// mostStrays limits such deaths, with two more for each place, until there
	// was none for strayCalm.
	mostStrays = 16
	strayCalm  = time.Minute
)

// strayed reports whether w died of a signal that came before it could handle it.
// No program can handle signals from its first instruction on, so a signal to
// all processes of the server may kill a worker that starts. That is not the
// program's fault.
func (m *Machine) strayed(w *worker, ev Exited) bool {
	early := w.state == WorkerStarting || w.serves() && !w.served && m.now-w.readyAt <= strayTime
	if !early || !slices.Contains(straySignals, ev.Signal) {
		return false
	}
	g := w.gen
	if m.now-g.strayAt > strayCalm {
		g.strays = 0
	}
	g.strayAt = m.now
	g.strays++
	return g.strays <= mostStrays+2*g.places()
}

// exitCause is why w exited.
func (w *worker) exitCause(clean bool) cause {
	switch {
	case w.cause != "" && (!w.cause.intended() || clean || w.stopped):
		return w.cause
	case w.served && clean:
		return causeServed
	case w.served:
		return causeLost
	case w.cause == "" && clean:
		return causeLeft
	}
	return causeCrashed
}

func (m *Machine) noteExit(w *worker, ev Exited, why cause) {
	level := Warn
	switch {
	case why == causeServed:
		level = Debug
	case ev.Lost > 0:
	case why.intended() && !w.killed:
		level = Info
		if w.gen.config.OneShot {
			level = Debug
		}
	}
	fields := []Field{{"event", string(why)}, {"duration", m.now - w.started}}
	if ev.Signal != 0 {
		fields = append(fields, Field{"signal", ev.Signal})
	} else {
		fields = append(fields, Field{"exit_code", ev.Code})
	}
	m.note(level, "worker exited", w, fields...)
}

func exitDetail(w *worker, ev Exited) string {
	s := fmt.Sprintf("exited with status %d", ev.Code)
	if ev.Signal != 0 {
		s = fmt.Sprintf("was killed by signal %d", ev.Signal)
	}
	if !w.everReady {
		s += " before it was ready"
	}
	return s
}

// afterCrash decides what a crash means for the worker's generation.
func (m *Machine) afterCrash(w *worker) {
	g := w.gen
	switch {
	case g.takingQueued:
		if g.crashes++; g.crashes >= g.config.BootTries {
			g.takingQueued = false // it will not get better in the time that is left
			return
		}
		m.delayReplacement(w)
	case w.leaving:
	case m.state == Booting:
		m.bootFailed++
		if m.bootFailed >= g.config.BootTries {
			m.abort(1, w.reason())
			return
		}
		m.delayReplacement(w)
	case g == m.coming:
		m.failReload(w.reason())
	case g == m.serving && m.state == Probation:
		m.rollBack(w.reason())
	case g == m.serving && m.keepsServing():
		m.delayReplacement(w)
	}
}
