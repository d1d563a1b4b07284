// Package loadreport says what a run of the load generator found: everything
// that is printed, drawn or decided from a [load.Result].
//
//	             ┌──► Text      for people, on a terminal
//	             ├──► Hgrm      for plotters of HdrHistogram's percentiles
//	Result ──────┼──► CSV       for spreadsheets: the series, second by second
//	  ▲          ├──► Plot      an SVG or an HTML page that needs nothing else
//	  │          ├──► Threshold whether the run failed, and why
//	Read (JSON)  └──► Compare   two runs side by side
//
// It measures nothing and keeps nothing: the same Result gives the same bytes.
// Three things hold for all of it.
//
// The figures that may mislead come with what makes them doubtful: a warning
// of the generator stands before the first figure, runs with different plans
// are compared under a notice, and a threshold that cannot be checked fails.
//
// Corrected latencies come first. The uncorrected ones leave out what requests
// would have waited that were never sent because an answer was late; they stand
// beside, for the difference tells of stalls.
//
// Targets, payloads and marks come from elsewhere, results too. Their text is
// cleaned of control characters before a terminal sees it, escaped in markup,
// and cut; the number of rows, marks and points that are drawn is bounded
// however long the run was.
package loadreport
