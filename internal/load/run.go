package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Run is a run under way. Its methods may be called from several goroutines.
type Run struct {
	plan     *plan
	schedule schedule // with the warm-up
	to       sockaddr
	address  netip.AddrPort // of a tcp target
	from     []sockaddr
	unseen   bool // loops may wait without telling the scheduler; see claim

	began        time.Time
	windowBegins int64        // nanoseconds since began
	windowEnds   atomic.Int64 // math.MaxInt64: when the requests have been made
	limit        uint64       // of requests, in an open loop with those of the warm-up
	issued       atomic.Uint64
	cancelled    atomic.Bool
	reached      atomic.Bool            // a connection was established
	refusal      atomic.Pointer[string] // how the first connect failed, until one was
	unreached    atomic.Pointer[error]  // why the run was given up

	loops    []*loop
	parts    chan *part
	collect  *collector
	failures *failures
	marks    marks
	usage    usage
	done     chan struct{}
	result   *Result
}

// Snapshot is the state of a run.
type Snapshot struct {
	Warming  bool          // the window has not begun
	Elapsed  time.Duration // since the window began; negative in the warm-up
	Left     time.Duration // until it ends; 0 if that depends on Requests
	Requests uint64
	Errors   uint64
	Active   int    // connections
	Last     Second // the last whole second; zero before there is one
}

// Start begins a run. It ends by itself, or when ctx does; Wait returns the
// Result. An error means that there was no run.
func Start(ctx context.Context, o Options) (*Run, error) {
	p, errs := o.plan()
	if len(errs) > 0 {
		return nil, fmt.Errorf("start load: %w", errors.Join(errs...))
	}
	p.complete()
	r := &Run{plan: p, failures: newFailures(), done: make(chan struct{}), parts: make(chan *part, 4*p.Loops), limit: math.MaxUint64}
	r.collect = newCollector(r)
	if err := r.addresses(ctx); err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	r.unseen = claim(p.Loops)
	r.usage.roots = owners(p.target, r.address)
	r.schedule = p.schedule.warm(p.Warmup)
	r.windowBegins = int64(p.Warmup)
	r.windowEnds.Store(math.MaxInt64)
	if p.Duration > 0 {
		r.windowEnds.Store(int64(p.Warmup + p.Duration))
	}
	if p.Requests > 0 {
		r.limit = p.Requests
		if p.open() {
			r.limit += r.schedule.before(r.windowBegins)
		}
	}
	for id := range p.Loops {
		l, err := r.newLoop(id)
		if err != nil {
			r.unclaim()
			for _, before := range r.loops {
				before.epoll.close()
			}
			return nil, fmt.Errorf("start load: %w", err)
		}
		r.loops = append(r.loops, l)
	}
	if p.Warmup == 0 {
		r.usage.begin()
	}
	r.began = time.Now()
	go r.work(ctx)
	return r, nil
}

// claimed is how many loops of this process wait in system calls that Go's
// scheduler does not know of. Each occupies one of its processors.
var claimed atomic.Int32

// claim reports whether so many loops may do so: one processor must be left.
func claim(loops int) bool {
	for {
		now := claimed.Load()
		if int(now)+loops >= runtime.GOMAXPROCS(0) {
			return false
		}
		if claimed.CompareAndSwap(now, now+int32(loops)) {
			return true
		}
	}
}

func (r *Run) unclaim() {
	if r.unseen {
		claimed.Add(-int32(r.plan.Loops))
	}
}

func (r *Run) addresses(ctx context.Context) error {
	var err error
	if r.to, r.address, err = r.plan.target.resolve(ctx); err != nil {
		return err
	}
	for _, a := range r.plan.source {
		if a.Is4() != (r.to.family == unix.AF_INET) {
			return fmt.Errorf("source %v: the target %v is of the other family", a, r.address.Addr())
		}
		from := ipSockaddr(netip.AddrPortFrom(a, 0))
		if r.plan.OnThread == nil { // it may move the threads to a namespace that has the address
			fd, errno, where := open(&r.to, &from)
			switch errno {
			case 0:
				shut(fd)
			case unix.EADDRNOTAVAIL:
				return fmt.Errorf("source %v: this machine does not have the address", a)
			default:
				return fmt.Errorf("source %v: %s: %w", a, where, errno)
			}
		}
		r.from = append(r.from, from)
	}
	return nil
}

func (r *Run) work(ctx context.Context) {
	defer close(r.done)
	defer context.AfterFunc(ctx, r.cancel)()
	if r.plan.Wait > 0 {
		defer time.AfterFunc(r.plan.Wait, r.giveUp).Stop()
	}
	var group sync.WaitGroup
	for _, l := range r.loops {
		group.Go(l.work)
	}
	if r.plan.Warmup > 0 {
		defer time.AfterFunc(time.Until(r.began.Add(r.plan.Warmup)), r.usage.begin).Stop()
	}
	r.collect.work(r.parts)
	group.Wait()
	r.unclaim()
	r.usage.finish()
	r.result = r.sum()
}

func (r *Run) cancel() {
	r.Stop()
	r.cancelled.Store(true)
}

// giveUp ends a run if no connect has succeeded so far and one has failed.
func (r *Run) giveUp() {
	if why := r.refusal.Load(); why != nil && !r.reached.Load() {
		err := fmt.Errorf("%s: %s", r.plan.URL, *why)
		r.unreached.Store(&err)
		r.cancel()
	}
}

// Unreached returns why no connect succeeded within Options.Wait, nil if the run
// was not given up.
func (r *Run) Unreached() error {
	if err := r.unreached.Load(); err != nil {
		return *err
	}
	return nil
}

// Stop ends the window. Exchanges that have begun are still waited for.
func (r *Run) Stop() {
	now := int64(time.Since(r.began))
	for {
		end := r.windowEnds.Load()
		if end <= now || r.windowEnds.CompareAndSwap(end, now) {
			return
		}
	}
}

// Wait returns what was measured once the run has ended.
func (r *Run) Wait() *Result {
	<-r.done
	return r.result
}

// Done is closed when the run has ended.
func (r *Run) Done() <-chan struct{} { return r.done }

// moreTickets gives a loop a share of a limited number of requests. The shares
// are small, so that a fast loop does not end before a slow one.
func (r *Run) moreTickets() uint64 {
	for {
		issued := r.issued.Load()
		if issued >= r.limit {
			return 0
		}
		left := r.limit - issued
		n := min(left, 1+left/uint64(16*len(r.loops)), 1024)
		if r.issued.CompareAndSwap(issued, issued+n) {
			return n
		}
	}
}

// Failures returns what has failed so far.
func (r *Run) Failures() Failures { return r.failures.snapshot() }

// Progress returns the state of the run. It is cheap.
func (r *Run) Progress() Snapshot {
	now := int64(time.Since(r.began))
	s := Snapshot{Warming: now < r.windowBegins, Elapsed: time.Duration(now - r.windowBegins)}
	if end := r.windowEnds.Load(); end < math.MaxInt64 && end > now {
		s.Left = time.Duration(end - max(now, r.windowBegins))
	}
	for _, l := range r.loops {
		s.Requests += l.live.requests.Load()
		s.Errors += l.live.errors.Load()
		s.Active += int(l.live.active.Load())
	}
	if last := r.collect.latest.Load(); last != nil {
		s.Last = *last
	}
	return s
}
