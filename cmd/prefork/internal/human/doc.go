// Package human is how the command writes for people: figures in few columns,
// tables, text that is cleaned, cut and wrapped, and colours where they are
// wanted.
//
// A figure is never wider than its function promises. The colours of the states of
// servers and workers are defined here. A [Painter] that is off does not change
// text, so callers need not check for a terminal.
package human
