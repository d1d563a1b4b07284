// Package needtool lets tests say what they need of the machine. A test that
// does not find it is skipped with a reason; where PREFORK_TEST_STRICT=1 is
// set, as .ci/run does, it fails: there, nothing may be left out unnoticed.
package needtool

import (
	"os"
	"os/exec"
	"testing"
)

// Strict is the environment variable that makes a missing tool a failure.
const Strict = "PREFORK_TEST_STRICT"

// Need returns the path of a program, or skips the test. The package is the
// Debian package that has it.
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
