// Package screen draws lines of text on a terminal and reads its keys: as much
// of a terminal as a full-screen view needs, by escape sequences that every
// terminal of the last decades knows (ECMA-48, and xterm's alternate screen).
//
//	Open ─► raw mode, alternate screen, no cursor
//	Paint ─► the lines that differ from the last ones, in one write
//	Keys ─► bytes ─► Decoder ─► Key
//	Close ─► everything as it was
//
// Invariants:
//
//   - After Close the terminal is as Open found it, whatever happened between;
//     Close may be called twice.
//   - No text reaches the terminal that Clean has not seen: what cannot be
//     printed is replaced, so that nobody's text moves the cursor.
//   - A line never wraps, even if it has wide runes, which count as one column:
//     what is too long is lost at the edge.
//
// What it does not do: widgets, mice, or terminals that need a terminfo entry.
// It brings nothing to the start of a process that does not use it.
package screen
