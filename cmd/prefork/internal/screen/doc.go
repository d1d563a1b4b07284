// Package screen draws lines of text on a terminal and reads its keys, with escape
// sequences that all current terminals know (ECMA-48, xterm's alternate screen).
//
//	Open ─► raw mode, alternate screen, no cursor
//	Paint ─► the lines that differ from the last ones, in one write
//	Keys ─► bytes ─► Decoder ─► Key
//	Close ─► everything as it was
//
// Invariants:
//
//   - After Close the terminal is as Open found it. Close may be called twice.
//   - All text is cleaned: unprintable runes are replaced, so that no text moves
//     the cursor.
//   - A line never wraps. Wide runes count as one column, so the end of such a line
//     may be cut off.
//
// It has no widgets, no mouse and no terminfo, and no package initialisation, which
// each start of a worker would pay for.
package screen
