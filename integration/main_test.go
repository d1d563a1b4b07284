package integration

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"prefork/integration/testconf"
)

func TestMain(m *testing.M) {
	// A parallel test waits most of its time. -parallel overrides this.
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

// times returns n, or a fifth of n with -short.
func times(n int) int {
	if testing.Short() {
		return max(1, n/5)
	}
	return n
}

// line returns the basic configuration of the line program.
func line(workers int) testconf.Config {
	return testconf.Config{Workers: workers, Probation: shortProbation, LogLevel: "debug"}
}

// inEvent is line in mode event.
func inEvent(workers int) testconf.Config {
	c := line(workers)
	c.Mode = "event"
	return c
}

// web returns the basic configuration of the HTTP program.
func web(workers int) testconf.Config {
	c := line(workers)
	c.Program.Kind = "http"
	return c
}
