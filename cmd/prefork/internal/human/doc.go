// Package human is how the command writes for people: figures in few columns,
// tables, text that is cleaned, cut and wrapped, and colours where they are
// wanted.
//
// A figure has the digits that matter and no more, and never outgrows the
// columns that its function promises. What a state of a server or a worker
// looks like is said here alone. A [Painter] that is off leaves words as
// they are, so that no caller asks twice whether there is a terminal.
package human
