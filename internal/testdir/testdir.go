// Package testdir creates directories for the sockets of tests.
package testdir

import (
	"os"
	"testing"
)

// Short is tb.TempDir with a short path. The path of a Unix socket has at most
// 107 bytes, and the path of tb.TempDir contains the name of the test.
func Short(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pf")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
