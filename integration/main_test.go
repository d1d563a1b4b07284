package integration

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"prefork/integration/testconf"
)

func TestMain(m *testing.M) {
	// A test that may run beside others waits most of its time. -parallel
	// overrides this.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	if err := RemovePrograms(); err != nil {
		fmt.Fprintln(os.Stderr, "remove programs:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// times is n, or a fifth of it with -short.
func times(n int) int {
	if testing.Short() {
		return max(1, n/5)
	}
	return n
}

// line is a configuration for the line program that tests start from.
func line(workers int) testconf.Config {
	return testconf.Config{Workers: workers, Probation: quick, LogLevel: "debug"}
}

// web is the same for the HTTP program.
func web(workers int) testconf.Config {
	c := line(workers)
	c.Program.Kind = "http"
	return c
}
