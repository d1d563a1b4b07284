package master

import (
	"math"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
)

// The books of what workers have done, which must not lose anything when one
// is gone.

// account returns the books of a slot, which a worker is about to take.
func (m *Master) slotRow(slot int) *SlotRow {
	row := m.slots[slot]
	if row == nil {
		row = &SlotRow{Slot: slot}
		m.slots[slot] = row
	}
	return row
}

// bury enters a worker that is gone in the books, with the processor time that
// it has used.
func (m *Master) addExited(w *worker, cpu time.Duration) {
	m.totals.add(&w.counted)
	m.latency.add(&w.counted.latency)
	m.age.add(&w.counted.age)
	row := m.slots[w.slot]
	row.add(&w.counted)
	// The exit's figure is finer than what status has shown of it, which must
	// not go back.
	row.CPUS += max(w.process.cpu, cpu).Seconds()
}

// figures are a worker's counters.
type counters struct {
	accepted, handled, failed, rejected uint64
	bytesIn, bytesOut                   uint64
	latency, age                        tally
}

// readFigures reads what the worker has counted. The sums are read before the
// counts, for the worker adds to them after.
func readCounters(slot *ipc.Slot) counters {
	f := counters{
		accepted: slot.Accepted.Load(), handled: slot.Handled.Load(), failed: slot.Failed.Load(), rejected: slot.Rejected.Load(),
		bytesIn: slot.BytesIn.Load(), bytesOut: slot.BytesOut.Load(),
	}
	f.latency.read(&slot.Latency)
	f.age.read(&slot.Age)
	return f
}

// What one process cannot exceed, with much room. The figures of a worker that
// lies grow by no more than this.
const (
	mostConnections = 1e6     // accepted, or ended, in a second
	mostAnswers     = 1e8     // in a second
	mostBytes       = 1e12    // in a second
	mostActive      = 1 << 20 // at once: nr_open's default
)

// follow says whether f can be what a worker has counted a time after it had
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

// doubtAfter is how long the counters of a worker may be impossible before the
// log says so: bytes are counted in lumps.
const implausibleAfter = 2 * time.Second

// count takes over what the worker has counted, if that can be. If not, all its
// figures stay as they were until they can be right again.
func (m *Master) count(w *worker) {
	begun := time.Now()
	said := readCounters(w.memory)
	after := time.Since(w.countedAt) // more than lies between the two readings
	switch {
	case said.plausibleAfter(&w.counted, after, time.Since(w.started)):
		w.counted, w.countedAt = said, begun
	case after > implausibleAfter && !w.implausible:
		w.implausible = true
		m.log.Warn("counters not believed", m.about(w, zap.Duration("duration", after))...)
	}
}

// active is how many connections the worker says that it has in hand, as far as
// that can be.
func (w *worker) active() int { return min(max(0, int(w.memory.Active.Load())), w.unfinished()) }

// unended is how many connections the worker has taken and not ended, as of the
// last count. Those that it has rejected are among them.
func (w *worker) unfinished() int {
	f := &w.counted
	return int(min(f.accepted-min(f.accepted, f.handled+f.failed), mostActive))
}

// lost is how many connections a worker that is gone has taken along.
func (w *worker) lost() int { return w.active() }

// heartbeat is when the worker's loop turned last, in ipc.Now's time; 0 before
// the first turn. A beat that is yet to come is taken for none since the worker's start.
func (w *worker) heartbeat() int64 {
	switch beat := w.memory.Beat.Load(); {
	case beat < 0: // before the machine started
		return 1
	case beat > ipc.Now()+int64(time.Second):
		return w.startedMono
	default:
		return beat
	}
}

// silence is the time since a worker's last heartbeat; 0 before the first,
// when the start timeout watches over it.
func (w *worker) silence() time.Duration {
	beat := w.heartbeat()
	if beat == 0 {
		return 0
	}
	return max(0, time.Duration(ipc.Now()-beat))
}

// add counts what a worker has done.
func (t *Totals) add(f *counters) {
	t.Accepted += f.accepted
	t.Handled += f.handled
	t.Failed += f.failed
	t.Rejected += f.rejected
	t.BytesIn += f.bytesIn
	t.BytesOut += f.bytesOut
}

// add counts what a worker has done.
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
	sumNS  uint64 // whole, because sums of fractions of a second go back
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

// follow says whether t can come after before: with at most so many durations
// more, none of which is longer than the worker has lived. As many as there can
// be connections may be counted and not yet summed up.
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

// histogram is the tally as status shows it.
func (t *tally) histogram() Histogram {
	h := Histogram{Counts: t.counts[:], SumS: float64(t.sumNS) / 1e9}
	for i := range ipc.Buckets - 1 {
		h.BoundsS = append(h.BoundsS, ipc.BucketBound(i).Seconds())
	}
	return h
}
