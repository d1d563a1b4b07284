// Package needtool skips tests that need something that the machine does not
// have. With PREFORK_TEST_STRICT=1, which .ci/run sets, such a test fails
// instead.
package needtool

import (
	"os"
	"os/exec"
	"testing"
)

// Strict is the environment variable that makes a missing tool a failure.
const Strict = "PREFORK_TEST_STRICT"

// Need returns the path of a program, or skips the test. debian is the Debian
// package of the program.
func Need(tb testing.TB, program, debian string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		Skip(tb, "%s is not installed (Debian package %s)", program, debian)
	}
	return path
}

// Root skips the test unless it runs as root.
func Root(tb testing.TB, why string) {
	tb.Helper()
	if os.Geteuid() != 0 {
		Skip(tb, "needs root: %s", why)
	}
}

// Skip skips the test for something that the machine does not have.
func Skip(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv(Strict) == "1" {
		tb.Fatalf("not skipped, because "+Strict+"=1: "+format, args...)
	}
	tb.Skipf(format, args...)
}
