package metrics

import (
	"runtime"
	"strconv"
	"strings"

	"prefork"
	"prefork/master"
)

// Type is what a metric's values mean to Prometheus.
type Type string

// The types that are used here.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Metric describes one family of series.
type Metric struct {
	Name   string
	Type   Type
	Labels []string
	Help   string // one sentence

	collect   func(s *prefork.Status, add adder)       // nil for a histogram
	histogram func(s *prefork.Status) master.Histogram // of a histogram
}

// adder takes one series: its value, and a value for each of the labels.
type adder func(value float64, labels ...string)

// States and WorkerStates are the words of the label state.
func States() []string {
	return []string{"booting", "running", "reloading", "probation", "draining", "killing", "stopped"}
}

// WorkerStates are those of workers.
func WorkerStates() []string {
	return []string{"starting", "ready", "busy", "draining", "exiting"}
}

// Catalogue returns every metric, in the order in which they are written.
func Catalogue() []Metric {
	var all []Metric
	for _, part := range [][]Metric{server(), connections(), reloads(), slots(), workers()} {
		all = append(all, part...)
	}
	return all
}

// server is about the master and its pool.
func server() []Metric {
	return []Metric{
		{Name: "prefork_build_info", Type: Gauge, Labels: []string{"version", "goversion"}, Help: "Version of the server and of Go; the value is always 1.",
			collect: func(s *prefork.Status, add adder) { add(1, s.Version, runtime.Version()) }},
		{Name: "prefork_state", Type: Gauge, Labels: []string{"state"}, Help: "1 for the state that the server is in, 0 for all others.",
			collect: func(s *prefork.Status, add adder) {
				for _, state := range States() {
					add(one(s.State == state), state)
				}
			}},
		{Name: "prefork_mode_info", Type: Gauge, Labels: []string{"mode"}, Help: "Mode of the generation that serves; the value is always 1.",
			collect: func(s *prefork.Status, add adder) { add(1, s.Mode) }},
		{Name: "prefork_forking", Type: Gauge, Help: "1 if the workers of mode forking are forked, 0 if they are executed, as in all other modes.",
			collect: func(s *prefork.Status, add adder) { add(one(s.Spawn == "fork")) }},
		{Name: "prefork_forks_total", Type: Counter, Help: "Workers that were forked.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Forks.Forked)) }},
		{Name: "prefork_forks_stillborn_total", Type: Counter, Help: "Copies that were given up before they were workers, and made again.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Forks.Stillborn)) }},
		{Name: "prefork_forks_hung_total", Type: Counter, Help: "Forked workers that stood still and were killed.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Forks.Hung)) }},
		{Name: "prefork_degraded", Type: Gauge, Help: "1 while the crash budget is spent and replacements are slowed down, or a listener is broken.",
			collect: func(s *prefork.Status, add adder) { add(one(s.Degraded != "")) }},
		{Name: "prefork_uptime_seconds", Type: Gauge, Help: "Time since the master started.",
			collect: func(s *prefork.Status, add adder) { add(s.UptimeS) }},
		{Name: "prefork_generation", Type: Gauge, Help: "Number of the generation that serves.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Generation)) }},
		{Name: "prefork_workers", Type: Gauge, Labels: []string{"state"}, Help: "Running workers of all generations, by state.",
			collect: collectWorkers},
		{Name: "prefork_workers_target", Type: Gauge, Labels: []string{"bound"}, Help: "Workers that the pool should have: min is the smallest number, or the spares in mode forking; max is the largest, except in mode forking.",
			collect: collectTarget},
		{Name: "prefork_worker_restarts_total", Type: Counter, Help: "Workers that ended unexpectedly.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.Restarts)) }},
		{Name: "prefork_cpu_seconds_total", Type: Counter, Help: "CPU time of the master and of all its workers, past and present.",
			collect: func(s *prefork.Status, add adder) { add(s.CPUS) }},
		{Name: "prefork_master_loop_lag_seconds", Type: Gauge, Help: "Longest time that one event has kept the master's owner loop in the last 30 seconds or more.",
			collect: func(s *prefork.Status, add adder) { add(s.MasterLoopLagS) }},
		{Name: "prefork_listener_queue_length", Type: Gauge, Labels: []string{"listener", "address"}, Help: "Connections that wait to be accepted, by TCP listener. Not known for Unix sockets.",
			collect: func(s *prefork.Status, add adder) {
				for _, l := range s.Listeners {
					if l.Queued >= 0 { // -1: the kernel does not say
						add(float64(l.Queued), l.Name, l.Address)
					}
				}
			}},
	}
}

func collectWorkers(s *prefork.Status, add adder) {
	count := map[string]int{}
	for _, w := range s.Workers {
		count[w.State]++
	}
	for _, state := range WorkerStates() {
		add(float64(count[state]), state)
	}
}

// collectTarget reads "4", "2-8" and "4 spare".
func collectTarget(s *prefork.Status, add adder) {
	text, spares := strings.CutSuffix(s.Target, " spare")
	fewest, most, isRange := strings.Cut(text, "-")
	if !isRange {
		most = fewest
	}
	if n, err := strconv.Atoi(fewest); err == nil {
		add(float64(n), "min")
	}
	if n, err := strconv.Atoi(most); err == nil && !spares {
		add(float64(n), "max")
	}
}

// connections is about what all workers that ever lived have done.
func connections() []Metric {
	return []Metric{
		{Name: "prefork_connections_accepted_total", Type: Counter, Help: "Connections that workers accepted.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.Accepted)) }},
		{Name: "prefork_connections_handled_total", Type: Counter, Help: "Connections whose handler returned without an error.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.Handled)) }},
		{Name: "prefork_connections_failed_total", Type: Counter, Help: "Connections that failed: an error or panic of the handler, or cut or lost with their worker.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.Failed)) }},
		{Name: "prefork_connections_rejected_total", Type: Counter, Help: "Connections that VerifyRequest refused, or that a worker had no resources for.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.Rejected)) }},
		{Name: "prefork_connections_active", Type: Gauge, Help: "Open connections.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.Active)) }},
		{Name: "prefork_received_bytes_total", Type: Counter, Help: "Bytes that handlers read.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.BytesIn)) }},
		{Name: "prefork_sent_bytes_total", Type: Counter, Help: "Bytes that handlers wrote.",
			collect: func(s *prefork.Status, add adder) { add(float64(s.Totals.BytesOut)) }},
		{Name: "prefork_handler_latency_seconds", Type: Histogram, Help: "Answer time of handlers: from a read to the end of the first write after it.",
			histogram: func(s *prefork.Status) master.Histogram { return s.HandlerLatency }},
		{Name: "prefork_connection_age_seconds", Type: Histogram, Help: "How long handled connections were open.",
			histogram: func(s *prefork.Status) master.Histogram { return s.ConnectionAge }},
	}
}

// reloads is about those that have ended.
func reloads() []Metric {
	return []Metric{
		{Name: "prefork_reloads_total", Type: Counter, Labels: []string{"result"}, Help: "Finished reloads, by result: ok or failed.",
			collect: func(s *prefork.Status, add adder) {
				add(float64(s.Reloads.OK), "ok")
				add(float64(s.Reloads.Failed), "failed")
			}},
		{Name: "prefork_last_reload_success", Type: Gauge, Help: "0 if the last reload failed, else 1; 1 before the first.",
			collect: func(s *prefork.Status, add adder) { add(one(s.LastReload.OK || s.LastReload.At == nil)) }},
		{Name: "prefork_last_reload_timestamp_seconds", Type: Gauge, Help: "When the last reload ended, in Unix time; absent before the first.",
			collect: func(s *prefork.Status, add adder) {
				if at := s.LastReload.At; at != nil {
					add(float64(at.UnixMilli()) / 1000)
				}
			}},
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
