// Package top is the model of `prefork top`: it is fed with the items of the master's
// stream and with keys, and draws itself as lines.
//
//	control.Item ─► Feed ─►┐            ┌─► Frame ─► human.Line
//	screen.Key ──► Press ─►┤   Model    ├─► Text      (--once)
//	a verdict ───► Say ───►┘            └─► Wish: quit, or a command to send
//
// It does no I/O, has no clock and no goroutines: the command around it owns
// the terminal and the connection, and tests look at frames without either.
//
// Rates are of the interval between the last two statuses, by the server's clock, so
// a delay of top or of the connection does not distort them. Handler latency is the
// difference of two histograms; a percentile is interpolated in its bucket.
//
// A command goes to the slot that was confirmed, and only if the same worker is
// still in it.
package top
