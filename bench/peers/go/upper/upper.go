// Package upper is the work that the echo peers of this module do: each line in
// upper case (a to z), whole lines only.
package upper

import "bytes"

// MaxLine bounds a line, its line feed included, in bytes. A longer one ends its
// connection.
const MaxLine = 64 << 10

// Whole changes the complete lines at the beginning of p to upper case and returns
// how many bytes they have.
func Whole(p []byte) int {
	n := bytes.LastIndexByte(p, '\n') + 1
	for i, b := range p[:n] {
		if 'a' <= b && b <= 'z' {
			p[i] = b - ('a' - 'A')
		}
	}
	return n
}
