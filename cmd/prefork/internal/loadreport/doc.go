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
// The same Result gives the same bytes. Three things hold for all forms:
//
//   - What makes a figure doubtful is shown with it: the generator's warnings come
//     before the first figure, a comparison of runs with different plans says so,
//     and a threshold that cannot be checked fails.
//   - Corrected latencies come first. The uncorrected ones leave out the requests
//     that were not sent because an answer was late; the difference shows stalls.
//   - The text of targets, payloads, marks and results is cleaned for a terminal,
//     escaped in markup, and cut. The number of rows, marks and points is bounded.
package loadreport
