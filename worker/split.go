package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// SplitLines returns a split function for lines of at most longest bytes. A message
// is a line without its end, which is a line feed, or a carriage return and a line
// feed. At the end of the input the rest is a line, too, if there is any.
//
// Like all functions of that type it works with Messages, and with a bufio.Scanner
// in a Handler. A longer line is ErrMessageTooLong as soon as that is certain. A
// negative longest panics.
func SplitLines(longest int) bufio.SplitFunc {
	if longest < 0 {
		panic(fmt.Sprintf("worker: SplitLines(%d)", longest))
	}
	longest = min(longest, math.MaxInt-2)
	return func(data []byte, atEOF bool) (int, []byte, error) {
		end := bytes.IndexByte(data[:min(len(data), longest+2)], '\n')
		line, advance := data, len(data)
		if end >= 0 {
			line, advance = data[:end], end+1
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		switch {
		case len(line) > longest:
			return 0, nil, fmt.Errorf("%w: line longer than %d bytes", ErrMessageTooLong, longest)
		case end < 0 && (!atEOF || len(data) == 0):
			return 0, nil, nil
		}
		return advance, line[:len(line):len(line)], nil
	}
}

// SplitFrames returns a split function for messages that follow their length, a
// number of 1, 2, 4 or 8 bytes in the given order, which does not count itself. A
// message has at most longest bytes, and may have none.
//
// A longer one is ErrMessageTooLong as soon as its length has arrived, before any of
// its bytes are kept. An end of the input within a frame is io.ErrUnexpectedEOF. Any
// other size of the number, and a negative longest, panic.
func SplitFrames(header int, order binary.ByteOrder, longest int) bufio.SplitFunc {
	if header != 1 && header != 2 && header != 4 && header != 8 || longest < 0 {
		panic(fmt.Sprintf("worker: SplitFrames(%d, %v, %d)", header, order, longest))
	}
	length := func(b []byte) uint64 {
		switch header {
		case 1:
			return uint64(b[0])
		case 2:
			return uint64(order.Uint16(b))
		case 4:
			return uint64(order.Uint32(b))
		}
		return order.Uint64(b)
	}
	return func(data []byte, atEOF bool) (int, []byte, error) {
		if len(data) >= header {
			n := length(data)
			if n > uint64(min(longest, math.MaxInt-header)) {
				return 0, nil, fmt.Errorf("%w: %d bytes, %d allowed", ErrMessageTooLong, n, longest)
			}
			if end := header + int(n); len(data) >= end {
				return end, data[header:end:end], nil
			}
		}
		if atEOF && len(data) > 0 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		return 0, nil, nil
	}
}
