// Package metrics shows a server's status to Prometheus.
//
// The master's Status is the only source: nothing is counted here, so there is no
// registry, no lock and no state. A scrape gets one Status and writes it.
//
//	Status ──► Catalogue ──► Write ──► text 0.0.4 or OpenMetrics 1.0
//	           what there is           what the scraper accepts
//
// Counters come from the totals and from the counters of the slots, which outlive
// workers and generations, so none decreases while the master lives. What only a
// running worker has (memory, goroutines, what it does) is a gauge, whose series
// ends with the worker.
//
// The series are bounded: the slots of the scoreboard bound the workers, the
// configuration the listeners. No label holds what a client sent.
//
// Why this is not client_golang: docs/adr/0014-metrics-without-client-golang.md.
package metrics
