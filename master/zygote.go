package master

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// A zygote is a process that runs the program up to the point where a worker would
// serve, and is then cloned for each worker of its generation (mode forking). It is
// started as a worker is, but it is none: the policy does not know it, and it has no
// slot. The workers that it clones are children of this process.
//
//	starting ── Ready, self-test good ──► forks ──► leaving ──► gone
//	    └── fails, or takes too long ──────────────────▲
//
// The policy asks for a worker with Spawn. It is forked if there is a zygote, waits
// while one starts, and is executed in all other cases: if the zygote cannot be
// forked, if the self-test failed or takes long, if the zygote died and the next one waits, or if
// it does not answer in time. So each Spawn has an outcome in bounded time, and a
// fault of the zygote costs time but no worker.

// The limits of a zygote's work.
const (
	mostForks      = 32              // requests that the zygote has at the same time
	mostForkErrors = 3               // in a row
	answerTime     = 2 * time.Second // for the answer to one of them
	longestWait    = 5 * time.Second // of a Spawn for a zygote that forks

	firstRetry = time.Second // until the next zygote is started; doubled each time
	lastRetry  = time.Minute
)

// forking is how a generation forks its workers. The owner loop owns it.
type forking struct {
	g       *generation
	zygote  *zygote        // nil if there is none, or it is leaving
	off     string         // why workers are executed from now on, or ""
	waiting []waitingSpawn // oldest first
	lost    string         // why the last zygote went
	hurried bool           // no Spawn waits for a zygote that starts: the last one did not become ready

	retryAt time.Duration // when to start the next zygote, on the policy's clock; 0: now
	retry   time.Duration // the last time to wait

	recent hungRate
}

// waitingSpawn is a Spawn that waits for the zygote.
type waitingSpawn struct {
	policy.Spawn
	since time.Duration
}

// zygote is a process that forks workers, or tries that out. The owner loop owns it.
type zygote struct {
	link
	generation int
	of         *forking      // nil: it runs the self-test
	begun      time.Duration // on the policy's clock, as all times here
	ready      bool
	cause      string        // why it leaves, or ""
	due        time.Duration // when it should be ready, or gone; 0: none

	asked    []*worker     // forks without an answer, oldest first
	askedAt  time.Duration // when the first of them became the first
	failures int           // in a row
}

func (z *zygote) about(more ...zap.Field) []zap.Field {
	return append([]zap.Field{zap.Int("pid", z.pid), zap.Int("generation", z.generation)}, more...)
}

func (z *zygote) interval() time.Duration { return zygoteInterval }

// startZygote starts the process of f, unless there is one or it has to wait.
func (m *Master) startZygote(f *forking) {
	if f.zygote != nil || f.off != "" || f.retryAt > m.now() || !m.maySpawn(f.g) {
		return
	}
	z := &zygote{of: f, generation: f.g.number}
	if err := m.launch(z, f.g, ipc.ZygoteOn, f.g.listeners); err != nil {
		m.log.Warn("zygote not started", zap.Int("generation", f.g.number), zap.Error(err))
		m.delayZygote(f)
		f.hurried, f.lost = true, err.Error()
		return
	}
	f.zygote = z
	z.due = m.now() + f.g.timing().StartTimeout
}

// launch executes the process of z and tells it what a worker is told.
func (m *Master) launch(z *zygote, g *generation, kind string, listeners []*listener) error {
	z.to = z
	env := append(slices.Clip(g.environment), ipc.ZygoteVariable+"="+kind)
	if kind == ipc.ZygoteTest {
		env = onOneProcessor(env)
	}
	files := make([]int, len(listeners))
	for i, l := range listeners {
		files[i] = l.fd
	}
	if err := m.execute(&z.link, env, files); err != nil {
		return err
	}
	z.begun = m.now()
	m.zygotes[z] = true
	m.watch(&z.link)
	m.log.Debug("zygote started", z.about(zap.String("event", kind))...)
	var described []ipc.Listener
	if len(listeners) > 0 {
		described = g.describe()
	}
	m.greet(&z.link, g, 0, described)
	return nil
}

// received handles a message from a zygote.
func (z *zygote) received(m *Master, msg ipc.Message) {
	if !m.zygotes[z] {
		return
	}
	if _, isHello := msg.(*ipc.Hello); isHello == z.helloReceived {
		z.unfit(m, fmt.Sprintf("sent %s out of order", msg.Type()))
		return
	}
	switch msg := msg.(type) {
	case *ipc.Hello:
		m.greeted(&z.link, msg)
	case *ipc.Ready:
		m.zygoteReady(z)
	case *ipc.Failed:
		m.zygoteFailed(z, msg.Code, reason(msg.Message))
	case *ipc.Forked:
		m.forked(z, msg)
	case *ipc.Ack:
		z.acknowledged(msg.Order)
	case *ipc.Unknown:
		m.log.Debug("unknown message", z.about(zap.String("event", string(msg.Name)))...)
	default:
		z.unfit(m, fmt.Sprintf("sent %s, which a zygote may not send", msg.Type()))
	}
}

func (m *Master) zygoteReady(z *zygote) {
	switch {
	case z.ready:
		z.unfit(m, "sent ready twice")
	case z.cause != "":
		// Too late.
	case z.of == nil:
		z.ready = true
		m.forkTested(z, "")
	default:
		z.ready, z.due, z.of.hurried = true, 0, false
		m.log.Info("zygote ready", z.about(zap.Duration("duration", m.now()-z.begun))...)
		m.sendForks(z.of)
	}
}

// zygoteFailed handles the message of a zygote that cannot do its work. It exits next.
func (m *Master) zygoteFailed(z *zygote, code int, why string) {
	switch {
	case z.cause != "":
		return
	case z.of == nil:
		m.forkTested(z, why)
	case code == ipc.ExitNotForkable:
		m.stopForking(z.of, why)
	default: // an executed worker would say the same; this one may be the only one that does
		m.log.Warn("zygote failed", z.about(zap.Int("exit_code", code), zap.String("error", why))...)
		m.loseZygote(z, "failed")
	}
	z.exitsBy(m)
}

// unfit ends a zygote that the master cannot work with.
func (z *zygote) unfit(m *Master, why string) {
	if !m.zygotes[z] || z.cause != "" {
		return
	}
	m.log.Warn("zygote unfit", z.about(zap.String("error", why))...)
	m.killZygote(z, "unfit")
}

// closed waits a moment for the exit.
func (z *zygote) closed(m *Master) {
	if m.zygotes[z] && z.cause == "" {
		m.loseZygote(z, "closed its channel")
		z.exitsBy(m)
	}
}

// killZygote kills a zygote, which is replaced.
func (m *Master) killZygote(z *zygote, cause string) {
	m.loseZygote(z, cause)
	z.due = 0
	if err := z.kill(); err != nil && !errors.Is(err, unix.ESRCH) {
		m.log.Error("zygote not killed", z.about(zap.Error(err))...)
	}
}

// stopZygote lets a zygote end in order, after it has answered what it was asked. It is
// not replaced.
func (m *Master) stopZygote(z *zygote) {
	if z.cause != "" {
		return
	}
	if z.of == nil {
		m.forkTest.ended, m.forkTest.failure = true, causeStopped // it is no failure to be logged
		m.killZygote(z, causeStopped)                             // it does not read its channel
		return
	}
	z.cause = causeStopped
	z.of.zygote = nil
	m.executeWaiting(z.of)
	m.send(&z.link, &ipc.Stop{})
	z.exitsBy(m)
}

// The causes of an end that is no failure.
const (
	causeStopped = "stopped"
	causeTested  = "tested"
)

// loseZygote executes the workers that z should have forked, and has it replaced.
func (m *Master) loseZygote(z *zygote, cause string) {
	if z.cause != "" {
		return
	}
	z.cause = cause
	f := z.of
	if f == nil {
		m.forkTested(z, "it "+cause)
		return
	}
	f.zygote, f.lost = nil, cause
	if !z.ready {
		f.hurried = true
	} else if m.now()-z.begun > lastRetry {
		f.retry = 0
	}
	m.delayZygote(f)
	m.executeAsked(z)
	m.executeWaiting(f)
}

func (m *Master) delayZygote(f *forking) {
	f.retry = min(max(firstRetry, 2*f.retry), lastRetry)
	f.retryAt = m.now() + f.retry
}

// exitsBy sets the time by which a zygote that leaves has to be gone.
func (z *zygote) exitsBy(m *Master) { z.due = m.now() + z.timing(m).KillDelay }

// timing returns the delays that apply to z.
func (z *zygote) timing(m *Master) policy.Config {
	if z.of != nil {
		return z.of.g.timing()
	}
	return m.current.timing()
}

// failed reports whether z ends for another reason than that it has done its work.
func (z *zygote) failed() bool { return z.cause != causeStopped && z.cause != causeTested }

// exited logs the end of a zygote, and reaps what it has left.
func (z *zygote) exited(m *Master, e exit, err error) {
	if err != nil {
		m.log.Error("exit not seen", z.about(zap.Error(err))...)
		e = exit{code: -1}
	}
	switch {
	case z.cause != "":
	case z.of != nil && e.code == ipc.ExitNotForkable && e.signal == 0:
		m.stopForking(z.of, "the zygote cannot be forked any more")
	default:
		m.loseZygote(z, "crashed")
	}
	delete(m.zygotes, z)
	m.executeAsked(z)
	m.zygoteCPU += max(z.process.cpu, e.cpu)
	fields := z.about(zap.String("event", z.cause), zap.Duration("duration", m.now()-z.begun))
	if e.signal != 0 {
		fields = append(fields, zap.Int("signal", e.signal))
	} else {
		fields = append(fields, zap.Int("exit_code", e.code))
	}
	if words := z.evidence(); words != "" && z.failed() && m.evidences.Allow(time.Now()) {
		fields = append(fields, zap.String("evidence", words))
	}
	if z.failed() {
		m.log.Warn("zygote exited", fields...)
	} else {
		m.log.Debug("zygote exited", fields...)
	}
	if z.of == nil {
		_ = unix.Kill(-z.pid, unix.SIGKILL) // its children, which are not ours
	}
	m.reapStrays(z.pid)
	go z.close()
	m.endIfAlone()
}

// mayFork reports whether z can be asked for a worker.
func (z *zygote) mayFork(m *Master) bool {
	return z.of != nil && z.ready && z.cause == "" && m.forkTest.good()
}

// maySpawn reports whether g may still need workers.
func (m *Master) maySpawn(g *generation) bool {
	return m.exiting == nil && m.machine.MaySpawn(g.number)
}

// endIfAlone ends the master once the last zygote is gone.
func (m *Master) endIfAlone() {
	if m.exiting != nil && len(m.zygotes) == 0 && len(m.strays) == 0 {
		m.result = m.exiting
	}
}

// timing returns the delays of a generation.
func (g *generation) timing() policy.Config { return g.config.Policy.WithDefaults() }
