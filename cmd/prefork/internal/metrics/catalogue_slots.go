package metrics

import (
	"strconv"

	"prefork"
	"prefork/master"
)

// slots is about what all workers that a slot ever had have done together, so
// that the counters go on when one is replaced.
func slots() []Metric {
	counter := func(name, help string, value func(r *master.SlotRow) float64) Metric {
		return Metric{Name: name, Type: Counter, Labels: []string{"slot"}, Help: help,
			collect: func(s *prefork.Status, add adder) {
				for i := range s.Slots {
					add(value(&s.Slots[i]), strconv.Itoa(s.Slots[i].Slot))
				}
			}}
	}
	return []Metric{
		counter("prefork_worker_starts_total", "Workers that were started in the slot.",
			func(r *master.SlotRow) float64 { return float64(r.Workers) }),
		counter("prefork_worker_connections_accepted_total", "Connections that workers accepted, by slot.",
			func(r *master.SlotRow) float64 { return float64(r.Accepted) }),
		counter("prefork_worker_connections_handled_total", "Connections whose handler returned without an error, by slot.",
			func(r *master.SlotRow) float64 { return float64(r.Handled) }),
		counter("prefork_worker_connections_failed_total", "Connections that failed, by slot.",
			func(r *master.SlotRow) float64 { return float64(r.Failed) }),
		counter("prefork_worker_connections_rejected_total", "Connections that were rejected, by slot.",
			func(r *master.SlotRow) float64 { return float64(r.Rejected) }),
		counter("prefork_worker_answers_total", "Answers of handlers, by slot.",
			func(r *master.SlotRow) float64 { return float64(r.Answers) }),
		counter("prefork_worker_received_bytes_total", "Bytes that handlers read, by slot.",
			func(r *master.SlotRow) float64 { return float64(r.BytesIn) }),
		counter("prefork_worker_sent_bytes_total", "Bytes that handlers wrote, by slot.",
			func(r *master.SlotRow) float64 { return float64(r.BytesOut) }),
		counter("prefork_worker_cpu_seconds_total", "CPU time of the slot's workers.",
			func(r *master.SlotRow) float64 { return r.CPUS }),
	}
}

// workers is about those that live.
func workers() []Metric {
	gauge := func(name, help string, value func(w *master.WorkerRow) float64) Metric {
		return Metric{Name: name, Type: Gauge, Labels: []string{"slot"}, Help: help,
			collect: func(s *prefork.Status, add adder) {
				for i := range s.Workers {
					add(value(&s.Workers[i]), strconv.Itoa(s.Workers[i].Slot))
				}
			}}
	}
	return []Metric{
		gauge("prefork_worker_connections_active", "Open connections of the running worker.",
			func(w *master.WorkerRow) float64 { return float64(w.Active) }),
		gauge("prefork_worker_generation", "Number of the running worker's generation.",
			func(w *master.WorkerRow) float64 { return float64(w.Generation) }),
		gauge("prefork_worker_age_seconds", "Time since the running worker started.",
			func(w *master.WorkerRow) float64 { return w.AgeS }),
		gauge("prefork_worker_resident_memory_bytes", "Resident memory of the running worker.",
			func(w *master.WorkerRow) float64 { return float64(w.RSSBytes) }),
		gauge("prefork_worker_heap_bytes", "Heap of the running worker's Go runtime, from its last report.",
			func(w *master.WorkerRow) float64 { return float64(w.HeapBytes) }),
		gauge("prefork_worker_goroutines", "Goroutines of the running worker, from its last report.",
			func(w *master.WorkerRow) float64 { return float64(w.Goroutines) }),
		gauge("prefork_worker_loop_lag_seconds", "Longest delay of the running worker's accept loop between its last two reports.",
			func(w *master.WorkerRow) float64 { return w.LoopLagS }),
		gauge("prefork_worker_silent_seconds", "Time since the last heartbeat of the running worker's loop.",
			func(w *master.WorkerRow) float64 { return w.SilentS }),
		gauge("prefork_worker_busy_seconds", "How long the running worker's oldest unfinished answer has taken so far; 0 if there is none.",
			func(w *master.WorkerRow) float64 { return w.DoingS }),
	}
}
