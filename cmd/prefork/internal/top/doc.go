// Package top is what `prefork top` knows and shows: a model that is fed with
// what the master's stream tells and with keys, and that draws itself as lines.
//
//	control.Item ─► Feed ─►┐            ┌─► Frame ─► human.Line
//	screen.Key ──► Press ─►┤   Model    ├─► Text      (--once)
//	a verdict ───► Say ───►┘            └─► Wish: quit, or a command to send
//
// It does no I/O, has no clock and no goroutines: the command around it owns
// the terminal and the connection, and tests look at frames without either.
//
// Rates are of the last interval between two statuses, measured by the server's
// own clock: what top or the connection is late by does not bend them. Handler
// latency is the difference of two histograms, and a percentile lies in its
// bucket where it would if the durations in it were spread evenly.
//
// A command goes to the slot that was confirmed, and only while the worker that
// was confirmed is still in it.
package top
