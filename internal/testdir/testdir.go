// Package testdir gives tests directories for sockets.
package testdir

import (
	"os"
	"testing"
)

// Short is tb.TempDir with a path that leaves room for a socket's name: that
// ends at 107 bytes, and the name of a test is part of the other.
func Short(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pf")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
