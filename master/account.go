package master

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// The books of what workers have done, which must not lose anything when one
// is gone.

// account returns the books of a slot, which a worker is about to take.
func (m *Master) account(slot int) *SlotRow {
	row := m.slots[slot]
	if row == nil {
		row = &SlotRow{Slot: slot}
		m.slots[slot] = row
	}
	return row
}

// bury enters a worker that is gone in the books, with the processor time that
// it has used.
func (m *Master) bury(w *worker, slot *ipc.Slot, cpu time.Duration) {
	m.totals.add(slot)
	m.latency.add(&slot.Latency)
	m.age.add(&slot.Age)
	row := m.slots[w.slot]
	row.add(slot)
	// The exit's figure is finer than what status has shown of it, which must
	// not go back.
	row.CPUS += max(w.cpu, cpu).Seconds()
}

// add counts what a worker has done.
func (t *Totals) add(slot *ipc.Slot) {
	t.Accepted += slot.Accepted.Load()
	t.Handled += slot.Handled.Load()
	t.Failed += slot.Failed.Load()
	t.Rejected += slot.Rejected.Load()
	t.BytesIn += slot.BytesIn.Load()
	t.BytesOut += slot.BytesOut.Load()
}

// add counts what a worker has done.
func (r *SlotRow) add(slot *ipc.Slot) {
	r.Accepted += slot.Accepted.Load()
	r.Handled += slot.Handled.Load()
	r.Failed += slot.Failed.Load()
	r.Rejected += slot.Rejected.Load()
	r.Answers += slot.Latency.Count()
	r.BytesIn += slot.BytesIn.Load()
	r.BytesOut += slot.BytesOut.Load()
}

// tally is a sum of ipc.Histograms.
type tally struct {
	counts [ipc.Buckets]uint64
	sum    uint64 // ns
}

func (t *tally) add(h *ipc.Histogram) {
	for i := range t.counts {
		t.counts[i] += h.Counts[i].Load()
	}
	t.sum += h.SumNS.Load()
}

// histogram is the tally as status shows it.
func (t *tally) histogram() Histogram {
	h := Histogram{Counts: t.counts[:], SumS: time.Duration(t.sum).Seconds()}
	for i := range ipc.Buckets - 1 {
		h.BoundsS = append(h.BoundsS, ipc.BucketBound(i).Seconds())
	}
	return h
}

// residentBytes reads a process's resident memory; 0 if it is gone.
func residentBytes(pid int) uint64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// tick is the unit of the times in /proc/PID/stat: the kernel's USER_HZ is 100
// on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// usedCPU returns the processor time that the worker has used, which never
// goes back.
func (w *worker) usedCPU() time.Duration {
	w.cpu = max(w.cpu, processCPU(w.pid))
	return w.cpu
}

// processStat reads the fields of proc_pid_stat(5) from the third on; none if
// the process is gone.
func processStat(pid int) [][]byte {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	// The second field is the name in parentheses, and may hold anything.
	return bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
}

// suspended says whether a process is stopped by a signal (T) or held by a
// tracer (t), so that it cannot run.
func suspended(pid int) bool {
	fields := processStat(pid)
	return len(fields) > 0 && bytes.EqualFold(fields[0], []byte("t"))
}

// processCPU reads a process's user and system time, its 14th and 15th field in
// proc_pid_stat(5); 0 if it is gone.
func processCPU(pid int) time.Duration {
	fields := processStat(pid)
	if len(fields) < 13 {
		return 0
	}
	user, errUser := strconv.ParseUint(string(fields[11]), 10, 63)
	system, errSystem := strconv.ParseUint(string(fields[12]), 10, 63)
	if errUser != nil || errSystem != nil {
		return 0
	}
	return time.Duration(user+system) * tick
}

// ownCPU returns the processor time of this process.
func ownCPU() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
