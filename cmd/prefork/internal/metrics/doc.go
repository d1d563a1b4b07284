// Package metrics shows a server's status to Prometheus.
//
// The master keeps the books, and its Status is the only source: nothing is
// counted here, so there is no registry, no lock and no state. A scrape asks
// once for a Status and writes it down.
//
//	Status ──► Catalogue ──► Write ──► text 0.0.4 or OpenMetrics 1.0
//	           what there is           what the scraper accepts
//
// Counters come from the totals and from the books of the slots, which outlive
// workers and generations: none ever goes back while the master lives. What is
// only true of a living worker (memory, goroutines, what it is doing) is a
// gauge, and its series ends with the worker.
//
// The series are bounded: the slots of the scoreboard bound the workers, the
// configuration the listeners. No label holds what a client sent.
//
// Why this is not client_golang: docs/adr/0014-metrics-without-client-golang.md.
package metrics
