package master

import (
	"context"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"prefork/internal/logs"
	"prefork/internal/script"
	"prefork/ipc"
	"prefork/master/policy"
	"prefork/systemd"
)

// Master is the first process of the server. Make one with New and Run it
// once.
type Master struct {
	options  Options
	base     Generation // the first configuration, for reloads without Load
	log      *zap.Logger
	eventLog *eventLog // the log lines that Events returns
	monitor  loopMonitor
	streams  atomic.Int32 // clients of ServeStream
	started  time.Time

	machine  *policy.Machine
	events   chan event         // from readers, watchers and the loader
	asks     chan event         // from control clients
	statuses chan chan<- Status // requests for a Status
	drains   chan struct{}      // Shutdown was called
	stops    chan struct{}      // Stop was called
	addrs    atomic.Pointer[[]net.Addr]
	signals  *signals      // nil until Run
	done     chan struct{} // closed when the owner loop has ended
	ended    sync.Once     // closes done

	// The owner loop owns the rest.
	clock            clock
	timer            *wakeTimer
	board            *ipc.Scoreboard
	failures         logs.Limit // limits log lines about failures, in mode forking
	evidences        logs.Limit // limits evidence of crashes in the log
	quiet            uint32     // ipc.Slot.Quiet of all workers
	suppressed       uint64     // failures since the last sample that were not logged
	peersChanged     bool       // other workers accept now: see updatePeers
	devNull          int        // /dev/null, the workers' standard input
	logFile          logFile    // replaces standard error
	access           accessLog
	workers          map[policy.ID]*worker
	generations      map[int]*generation
	current          *generation            // the generation that serves
	loading          map[*listener]listener // listeners that the running load may keep; nil if none runs
	giveUpLoad       context.CancelFunc     // nil if no load runs, or if it was given up
	passed           *passedSockets
	stored           map[string]*listener // in the service manager's store
	storeFailed      map[string]bool      // keys of changes to the store that failed
	leftovers        leftovers            // of an earlier master
	notify           *systemd.Notifier
	watchdog         time.Duration // half the watchdog's interval; 0 if there is no watchdog
	lastFed          time.Time
	feedAt           time.Time       // when to look again whether to feed the watchdog
	sampleAt         time.Time       // when the next sample is due
	calm             bool            // samples are rare, and the workers know
	unsent           []policy.Notify // messages that the service manager had no room for, oldest first
	notifyFailing    bool            // the last message to the service manager was lost
	policyStatus     string          // the policy's last status line
	sentStatus       string          // the last status line that was sent
	latency          tally           // of workers that are gone, as age
	age              tally
	slots            map[int]SlotRow // sums of workers that are gone, for each slot that was used
	reloads          Reloads
	lastReload       LastReload
	requests         policy.Request // the last number
	waiting          map[policy.Request]chan<- Answer
	readProcess      func(pid int) process // reads /proc
	readingProcesses bool                  // on another goroutine
	housekeeping     atomic.Bool           // on that goroutine, which owns the next two then
	kept             []*keptFile           // files to look after
	orphans          *reaper               // nil if this process inherits none
	lastOrder        uint64                // number of the last order to a worker
	lastReplace      time.Time             // when a reload was last requested to replace a listener
	sendsWait        bool                  // messages to workers wait because the master lacks a resource
	queue            []policy.Event        // events that applying actions produced
	zygotes          map[*zygote]bool      // and the process that runs the self-test
	forkTest         forkTest
	strays           []*strays
	forks            Forks
	zygoteCPU        time.Duration // of zygotes that are gone
	exiting          *policy.Exit  // the result once the zygotes are gone
	result           *policy.Exit
}

// event is a function that another goroutine posts to the owner loop.
type event func(m *Master)

// New returns a Master for o, which must not change afterwards.
func New(o Options) *Master {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Level == (zap.AtomicLevel{}) {
		o.Level = zap.NewAtomicLevel()
	}
	told := newEventLog()
	return &Master{
		options:     o,
		base:        o.Generation,
		eventLog:    told,
		readProcess: readProcess,
		log:         told.tee(o.Log).With(zap.String("role", "master")),
		slots:       map[int]SlotRow{},
		machine:     policy.New(),
		events:      make(chan event, 64),
		asks:        make(chan event),
		statuses:    make(chan chan<- Status),
		drains:      make(chan struct{}, 1),
		stops:       make(chan struct{}, 1),
		done:        make(chan struct{}),
		workers:     map[policy.ID]*worker{},
		zygotes:     map[*zygote]bool{},
		waiting:     map[policy.Request]chan<- Answer{},
		generations: map[int]*generation{},
		stored:      map[string]*listener{},
		devNull:     -1,
		logFile:     logFile{name: "log file", path: o.LogFile, open: openLog, stderr: true, done: (*Master).logReopened},
		access:      accessLog{logFile: logFile{name: "access log", path: o.AccessLog, open: openAccess, done: (*Master).accessReopened}, fd: -1},
	}
}

// Run binds the sockets, starts the workers, and serves until a signal, a
// command or the end of ctx ends it. It returns nil after a drain or a stop,
// *ConfigError for a configuration that cannot work, and *ExitError if the
// server could not start or workers had to be killed.
func (m *Master) Run(ctx context.Context) error {
	defer m.close()
	m.started = time.Now()
	m.now()
	m.signals = notifySignals(signal.Notify)
	defer m.signals.stop()

	release, err := m.start(ctx, m.acquire)
	defer release()
	if err != nil {
		return err
	}
	if m.result == nil { // the start was not ended
		if os.Geteuid() == 0 {
			m.log.Warn("handlers run as root")
		}
		m.run(ctx)
	}
	return m.exitError()
}

// run is the owner loop.
func (m *Master) run(ctx context.Context) {
	if inheritsOrphans() {
		m.orphans = &reaper{proc: "/proc/self", grace: orphanGrace}
	}
	m.step(policy.Boot{Config: m.base.Policy, Leftovers: len(m.leftovers) > 0})
	m.monitor.begun.Store(true)
	m.sampleAt = time.Now().Add(m.machine.SampleAfter())
	m.feedAt = time.Now().Add(m.watchdogCheck())
	ended := ctx.Done()
	for m.result == nil {
		m.sleep()
		e := m.next(&ended)
		m.work()
		e(m)
		m.noteAbsence()
	}
	m.logSuppressed()
	for _, answer := range m.waiting {
		answer <- Answer{Error: ErrStopped.Error(), Generation: m.machine.Generation()}
	}
	m.close() // the control socket then waits for its clients, which wait for this
}

// next waits for an event.
func (m *Master) next(ended *<-chan struct{}) event {
	signalled := func(s os.Signal) event { return func(m *Master) { m.signal(s) } }
	select {
	case e := <-m.events:
		return e
	case a := <-m.asks:
		return a
	case answer := <-m.statuses:
		return func(m *Master) { m.answerStatus(answer) }
	case s := <-m.signals[queueEnd]:
		return signalled(s)
	case s := <-m.signals[queueReload]:
		return signalled(s)
	case s := <-m.signals[queueReopen]:
		return signalled(s)
	case s := <-m.signals[queueOther]:
		return signalled(s)
	case <-m.timer.C:
		return (*Master).wake
	case <-*ended:
		*ended = nil
		return (*Master).drainOnce
	case <-m.drains:
		return (*Master).drainOnce
	case <-m.stops:
		return func(m *Master) { m.step(policy.Stop{}) }
	}
}

// sleep sets the only timer of the owner loop: for the policy's next deadline, the
// next sample, or the service manager's watchdog.
func (m *Master) sleep() {
	now := time.Now()
	ran := m.clock.now(now)
	m.sampleWithin(m.machine.SampleAfter())
	until := m.sampleAt
	if at, ok := m.machine.Wake(); ok {
		until = earlier(until, now.Add(at-ran))
	}
	if at, ok := m.zygotesWake(); ok {
		until = earlier(until, now.Add(at-ran))
	}
	if m.watchdog > 0 {
		until = earlier(until, m.feedAt)
	}
	m.timer.set(until)
	m.clock.due = until
	if late := m.monitor.waits(now); late > 0 {
		m.log.Info("owner loop runs again", zap.Duration("duration", late))
	}
}

// work begins to handle an event. If it blocks, somebody must notice soon.
func (m *Master) work() {
	m.monitor.since.Store(ipc.Now())
	now := time.Now()
	m.clock.woke(now)
	soon := now.Add(lateAfter)
	if at := m.timer.at; !at.After(now) || at.After(soon.Add(lateAfter)) {
		m.timer.set(soon)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// wake does what is due.
func (m *Master) wake() {
	m.timer.at = time.Time{}
	if at, ok := m.machine.Wake(); ok && at <= m.now() {
		m.step(policy.Tick{})
	}
	m.tendZygotes()
	now := time.Now()
	if !now.Before(m.sampleAt) {
		m.sample()
	}
	if m.watchdog > 0 && !now.Before(m.feedAt) {
		m.feed()
	}
}

// step feeds an event to the policy and applies its actions, and then the
// events that applying them produced.
func (m *Master) step(ev policy.Event) {
	m.queue = append(m.queue, ev)
	if len(m.queue) > 1 {
		return // an outer step will handle it
	}
	for len(m.queue) > 0 {
		ev := m.queue[0]
		actions := m.machine.Step(m.now(), ev)
		m.monitor.ending.Store(m.machine.Ending())
		if ce := m.log.Check(zap.DebugLevel, "step"); ce != nil {
			ce.Write(zap.Stringer("state", m.machine.State()),
				zap.String("event", script.Format(ev)), zap.Strings("actions", formatAll(actions)))
		}
		for _, a := range actions {
			m.apply(a)
		}
		m.queue = m.queue[1:]
	}
	m.queue = nil
	m.tendZygotes()
	m.setCalm(m.machine.Calm())
	// In mode forking the set changes with every connection, and workers do not
	// wait for each other: the next sample does this.
	if m.peersChanged && !m.current.config.Policy.OneShot {
		m.updatePeers()
	}
}

// post gives an event to the owner loop. It is false if the loop has ended.
func (m *Master) post(e event) bool {
	select {
	case m.events <- e:
		return true
	case <-m.done:
		return false
	}
}

// apply carries out one action. An error becomes an event.
func (m *Master) apply(a policy.Action) {
	switch a := a.(type) {
	case policy.Load:
		m.startLoad()
	case policy.Spawn:
		m.applySpawn(a)
	case policy.Listen:
		m.listen(a.Generation)
	case policy.Accept:
		if w := m.workers[a.ID]; w != nil {
			w.serving, m.peersChanged = true, true
			m.send(&w.link, &ipc.Resume{})
		}
	case policy.DrainWorker:
		m.applyDrain(a)
	case policy.LameDuck:
		m.sendTo(a.ID, &ipc.LameDuck{})
	case policy.StopWorker:
		if w := m.workers[a.ID]; w != nil {
			w.stopped = true
			m.send(&w.link, &ipc.Stop{})
		}
	case policy.Dump:
		m.sendTo(a.ID, &ipc.Dump{})
	case policy.Kill:
		m.applyKill(a.ID)
	case policy.Quiesce:
		m.applyQuiesce(a.Generation)
	case policy.Commit:
		m.applyCommit(a.Generation)
	case policy.Retire:
		m.retire(a.Generation)
	case policy.Notify:
		m.applyNotify(a)
		if a.State == policy.NotifyStopping {
			m.syncStore() // what closes must not be stored
		}
	case policy.Answer:
		m.applyAnswer(a)
	case policy.Verdict:
		m.applyVerdict(a)
	case policy.Note:
		m.applyNote(a)
	case policy.KillLeftovers:
		m.killLeftovers()
	case policy.Exit:
		m.exiting = &a
		for z := range m.zygotes {
			m.stopZygote(z)
		}
		m.endIfAlone()
	}
}
