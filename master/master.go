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
	options     Options
	base        Generation // the first configuration, for reloads without Load
	log         *zap.Logger
	eventLog    *eventLog // what log has said
	monitor     loopMonitor
	streams     atomic.Int32 // clients of ServeStream
	statusCache statusCache
	started     time.Time

	machine *policy.Machine
	events  chan event    // from readers, watchers and the loader
	asks    chan ask      // from control clients
	drains  chan struct{} // Shutdown was called
	stops   chan struct{} // Stop was called
	addrs   atomic.Pointer[[]net.Addr]
	signals *signals      // nil until Run
	done    chan struct{} // closed when the owner loop has ended
	ended   sync.Once     // closes done

	// The owner loop owns the rest.
	clock            clock
	board            *ipc.Scoreboard
	failures         logs.Limit // of workers that serve once, in the log
	evidences        logs.Limit // likewise, of what is left of those that crashed
	quiet            uint32     // ipc.Slot.Quiet of all workers
	suppressed       uint64     // failures that were not logged since the last sample
	peersChanged     bool       // another set of workers serves: see list
	devNull          int        // /dev/null, the workers' standard input
	logFile          logFile    // that takes the place of standard error
	access           accessLog
	workers          map[policy.ID]*worker
	generations      map[int]*generation
	current          *generation                // that serves
	loading          map[*listener]keptListener // what the loader may keep; nil when none runs
	giveUpLoad       context.CancelFunc         // nil once the loader was given up
	passed           *passedSockets
	stored           map[string]*listener // in the service manager's store
	storeFailed      map[string]bool      // keys of changes to it that failed
	leftovers        leftovers            // of an earlier master
	notify           *systemd.Notifier
	watchdog         time.Duration // feed it this often; 0 never
	lastFed          time.Time
	unsent           []policy.Notify  // what the service manager had no room for, oldest first
	notifyFailing    bool             // the last message to it was lost
	policyStatus     string           // the policy's last status line
	sentStatus       string           // the service manager's last one
	totals           Totals           // of workers that are gone
	latency          tally            // likewise
	age              tally            // likewise
	slots            map[int]*SlotRow // by slot, of workers that are gone; one for each slot that was used
	reloads          Reloads
	lastReload       LastReload
	requests         policy.Request // the last one
	waiting          map[policy.Request]chan<- Answer
	readProcess      func(pid int) process // /proc
	readingProcesses bool                  // of it is under way
	lastOrder        uint64                // number of the last order to a worker
	lastReplace      time.Time             // when a reload was last asked for to replace a listener
	sendsWait        bool                  // messages to workers wait for what the master lacks, and the log knows
	queue            []policy.Event        // that actions gave rise to
	result           *policy.Exit
}

// event is a fact that a goroutine posts to the owner loop: it runs there.
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
		monitor:     loopMonitor{pings: make(chan time.Time, 1)},
		readProcess: readProcess,
		log:         told.tee(o.Log).With(zap.String("role", "master")),
		slots:       map[int]*SlotRow{},
		machine:     policy.New(),
		events:      make(chan event, 64),
		asks:        make(chan ask),
		drains:      make(chan struct{}, 1),
		stops:       make(chan struct{}, 1),
		done:        make(chan struct{}),
		workers:     map[policy.ID]*worker{},
		waiting:     map[policy.Request]chan<- Answer{},
		generations: map[int]*generation{},
		stored:      map[string]*listener{},
		devNull:     -1,
		logFile:     logFile{name: "log file", path: o.LogFile, open: openLog, stderr: true},
		access:      accessLog{logFile: logFile{name: "access log", path: o.AccessLog, open: openAccess}, fd: -1},
	}
}

// Run binds the sockets, starts the workers, and serves until a signal, a
// command or the end of ctx asks for a drain. It returns nil after an orderly
// drain or stop, *ConfigError for a configuration that cannot work, and
// *ExitError if the server could not start or workers had to be killed.
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
	if m.result == nil { // nobody has ended the start
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
		go reapOrphans(m.log, m.done)
	}
	ended := ctx.Done()
	sampling := time.NewTicker(m.base.Policy.SampleInterval)
	defer sampling.Stop()
	var feeding <-chan time.Time
	if m.watchdog > 0 {
		ticker := time.NewTicker(m.watchdogCheck())
		defer ticker.Stop()
		feeding = ticker.C
	}
	timer := time.NewTimer(0)
	defer timer.Stop()

	go m.monitorLoop()
	m.monitor.running.Store(true)
	m.step(policy.Boot{Config: m.base.Policy, Leftovers: len(m.leftovers) > 0})
	m.clock.most = m.base.Policy.SampleInterval + lateness
	for m.result == nil {
		m.arm(timer)
		select {
		case e := <-m.events:
			e(m)
		case a := <-m.asks:
			a(m)
		case s := <-m.signals[queueEnd]:
			m.signal(s)
		case s := <-m.signals[queueReload]:
			m.signal(s)
		case s := <-m.signals[queueReopen]:
			m.signal(s)
		case s := <-m.signals[queueOther]:
			m.signal(s)
		case <-timer.C:
			m.step(policy.Tick{})
		case <-sampling.C:
			m.sample()
		case <-feeding:
			m.feed()
		case asked := <-m.monitor.pings:
			m.monitor.answer(asked, time.Now())
		case <-ended:
			ended = nil
			m.drainOnce()
		case <-m.drains:
			m.drainOnce()
		case <-m.stops:
			m.step(policy.Stop{})
		}
		m.noteAbsence()
	}
	m.logSuppressed()
	for _, answer := range m.waiting {
		answer <- Answer{Error: ErrStopped.Error(), Generation: m.machine.Generation()}
	}
	m.close() // before the control socket waits for its clients, who wait for us
}

// arm sets the timer to the policy's next deadline.
func (m *Master) arm(timer *time.Timer) {
	at, ok := m.machine.Wake()
	if !ok {
		timer.Stop()
		return
	}
	timer.Reset(max(0, at-m.now()))
}

// step feeds one event to the policy and applies its actions, and then those
// events that the actions gave rise to, in order.
func (m *Master) step(ev policy.Event) {
	m.queue = append(m.queue, ev)
	if len(m.queue) > 1 {
		return // an outer step is at work and will come to it
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
	// Where a worker serves once, the set changes with every connection and
	// nobody waits for a sibling: the next sample is soon enough.
	if m.peersChanged && !m.current.config.Policy.OneShot {
		m.updatePeers()
	}
}

// post hands an event to the owner loop from another goroutine. It reports
// false if the loop has ended and will not take it.
func (m *Master) post(e event) bool {
	select {
	case m.events <- e:
		return true
	case <-m.done:
		return false
	}
}

// apply carries out one action. What goes wrong becomes an event.
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
			m.send(w, &ipc.Resume{})
		}
	case policy.DrainWorker:
		m.applyDrain(a)
	case policy.LameDuck:
		m.sendTo(a.ID, &ipc.LameDuck{})
	case policy.StopWorker:
		if w := m.workers[a.ID]; w != nil {
			w.stopped = true
			m.send(w, &ipc.Stop{})
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
			m.syncStore() // what is about to be closed must not come back
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
		m.result = &a
	}
}
