package master

import (
	"math"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// addExited adds the counters and the processor time of a worker that has
// exited to the sums, which must never go back. lost are connections that it
// still had.
func (m *Master) addExited(w *worker, lost int, cpu time.Duration) {
	m.latency.add(&w.counted.latency)
	m.age.add(&w.counted.age)
	row := m.slots[w.slot]
	row.add(&w.counted)
	row.Failed += uint64(lost)
	// The kernel's figure at the exit is finer than the one in /proc.
	row.CPUS += max(w.process.cpu, cpu).Seconds()
	m.slots[w.slot] = row
}

// counters are what a worker counts.
type counters struct {
	accepted, handled, failed, rejected uint64
	bytesIn, bytesOut                   uint64
	latency, age                        tally
}

// readCounters reads them. Sums are read before counts, because the worker
// updates them after.
func readCounters(slot *ipc.Slot) counters {
	f := counters{
		accepted: slot.Accepted.Load(), handled: slot.Handled.Load(), failed: slot.Failed.Load(), rejected: slot.Rejected.Load(),
		bytesIn: slot.BytesIn.Load(), bytesOut: slot.BytesOut.Load(),
	}
	f.latency.read(&slot.Latency)
	f.age.read(&slot.Age)
	return f
}

// What no process can exceed. The counters of a worker that lies grow at this
// rate at most.
const (
	mostConnections = 1e6     // accepted, or ended, in a second
	mostAnswers     = 1e8     // in a second
	mostBytes       = 1e12    // in a second
	mostActive      = 1 << 20 // at once: nr_open's default
)

// plausibleAfter reports whether a worker can have counted f a time after it had
// counted before. lived is its age.
func (f *counters) plausibleAfter(before *counters, after, lived time.Duration) bool {
	s := after.Seconds()
	for _, c := range []struct {
		now, before uint64
		most        float64
	}{
		{f.accepted, before.accepted, mostConnections}, {f.handled, before.handled, mostConnections},
		{f.failed, before.failed, mostConnections}, {f.rejected, before.rejected, mostConnections},
		{f.bytesIn, before.bytesIn, mostBytes}, {f.bytesOut, before.bytesOut, mostBytes},
	} {
		if c.now < c.before || float64(c.now-c.before) > c.most*s {
			return false
		}
	}
	return f.latency.plausibleAfter(&before.latency, mostAnswers*s, lived) && f.age.plausibleAfter(&before.age, mostConnections*s, lived)
}

// implausibleAfter is how long counters may be implausible before it is logged:
// bytes are counted in lumps.
const implausibleAfter = 2 * time.Second

// count accepts the worker's counters if they are plausible. If not, all of
// them stay as they were until they are plausible again.
func (m *Master) count(w *worker) {
	begun := time.Now()
	now := readCounters(w.memory)
	after := time.Since(w.countedAt) // a little more than between the two readings
	switch {
	case now.plausibleAfter(&w.counted, after, time.Since(w.started)):
		w.counted, w.countedAt = now, begun
	case after > implausibleAfter && !w.implausible:
		w.implausible = true
		m.log.Warn("implausible counters ignored", w.about(zap.Duration("duration", after))...)
	}
}

// active is the number of connections that the worker says it has, as far as
// plausible.
func (w *worker) active() int { return min(max(0, int(w.memory.Active.Load())), w.unfinished()) }

// unfinished is how many connections the worker has accepted and not ended,
// rejected ones included, as of the last count.
func (w *worker) unfinished() int {
	f := &w.counted
	return int(min(f.accepted-min(f.accepted, f.handled+f.failed), mostActive))
}

// lost is how many connections a worker had when it exited.
func (w *worker) lost() int { return w.active() }

// heartbeat is the last turn of the worker's loop, as ipc.Now; 0 before the
// first. A time in the future counts as the worker's start.
func (w *worker) heartbeat() int64 {
	switch beat := w.memory.Beat.Load(); {
	case beat < 0: // invalid
		return 1
	case beat > ipc.Now()+int64(time.Second):
		return w.startedMono
	default:
		return beat
	}
}

// silence is the time since the last heartbeat, also while the master did not
// run; 0 before the first, when the start timeout applies.
func (w *worker) silence() time.Duration { return silence(w.heartbeat(), 0) }

func (t *Totals) add(r *SlotRow) {
	t.Accepted += r.Accepted
	t.Handled += r.Handled
	t.Failed += r.Failed
	t.Rejected += r.Rejected
	t.BytesIn += r.BytesIn
	t.BytesOut += r.BytesOut
}

func (r *SlotRow) add(f *counters) {
	r.Accepted += f.accepted
	r.Handled += f.handled
	r.Failed += f.failed
	r.Rejected += f.rejected
	r.Answers += f.latency.count()
	r.BytesIn += f.bytesIn
	r.BytesOut += f.bytesOut
}

// tally is a sum of ipc.Histograms.
type tally struct {
	counts [ipc.Buckets]uint64
	sumNS  uint64 // in whole nanoseconds, because a sum of fractions can go back
}

func (t *tally) read(h *ipc.Histogram) {
	t.sumNS = h.SumNS.Load()
	for i := range t.counts {
		t.counts[i] = h.Counts[i].Load()
	}
}

func (t *tally) add(o *tally) {
	for i := range t.counts {
		t.counts[i] += o.counts[i]
	}
	t.sumNS += min(o.sumNS, math.MaxUint64-t.sumNS)
}

func (t *tally) count() (n uint64) {
	for _, c := range t.counts {
		n += c
	}
	return n
}

// plausibleAfter reports whether t can follow before: with at most this many more
// durations, none longer than the worker has lived. Some may be counted and not
// yet in the sum.
func (t *tally) plausibleAfter(before *tally, most float64, lived time.Duration) bool {
	more := 0.0
	for i := range t.counts {
		if t.counts[i] < before.counts[i] {
			return false
		}
		more += float64(t.counts[i] - before.counts[i])
	}
	if t.sumNS < before.sumNS {
		return false
	}
	longer := float64(t.sumNS-before.sumNS) / 1e9
	return more <= most && longer <= (more+mostActive)*lived.Seconds()
}

// histogram is the tally for the status.
func (t *tally) histogram() Histogram {
	h := Histogram{Counts: t.counts[:], SumS: float64(t.sumNS) / 1e9}
	for i := range ipc.Buckets - 1 {
		h.BoundsS = append(h.BoundsS, ipc.BucketBound(i).Seconds())
	}
	return h
}
