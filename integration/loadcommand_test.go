package integration

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// The line of progress is there on a terminal while the run goes on, says what
// was promised, and leaves nothing behind.
func TestLoadShowsItsProgressOnATerminal(t *testing.T) {
	c := serve(t, goodConfig)
	_, address := c.Address("")
	p := OpenPty(t, 120, 40)
	command := exec.Command(c.binary, "load", "tcp://"+address, "-c", "3", "-d", "1h", "--warmup", "1s", "--expect", "upper")
	command.Stderr = p.slave
	p.Start(command)
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill() })
	p.WaitText("warming up")
	p.WaitLines("a line of progress", func(lines []string) bool {
		line := strings.Join(lines, "\n")
		return strings.Contains(line, "/s  3 active  0 errors  p50 ") && strings.Contains(line, "  p99 ") && strings.HasSuffix(line, " left"+strings.Repeat("\n", len(lines)-1))
	})
	p.Type("\x03") // ends the run, not the report
	p.WaitText("traffic ")
	if err := <-ended; err != nil {
		t.Errorf("load: %v", err)
	}
	if lines := p.WaitText("generator "); strings.Contains(strings.Join(lines, "\n"), " left") {
		t.Errorf("the line of progress is still there:\n%s", strings.Join(lines, "\n"))
	}
}

// Whoever has too few descriptors for so many connections is told so, and the
// server is not blamed.
func TestLoadThatRunsOutOfDescriptorsSaysSo(t *testing.T) {
	c := serve(t, goodConfig)
	_, address := c.Address("")
	code, stdout, stderr := execute(t, exec.Command("sh", "-c", `ulimit -n 40 && exec "$@"`, "sh",
		c.binary, "load", "tcp://"+address, "-c", "100", "-n", "2000", "--expect", "upper", "--json"))
	var r struct {
		Requests  uint64
		Errors    map[string]uint64
		Generator struct{ Warnings []string }
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	if code != 0 || r.Requests == 0 || r.Errors["out_of_descriptors"] == 0 || len(r.Errors) != 1 {
		t.Errorf("exit %d, %d requests, errors %v; want some of both, for want of descriptors alone", code, r.Requests, r.Errors)
	}
	if !strings.Contains(strings.Join(r.Generator.Warnings, "\n"), "raise the limit of open files") {
		t.Errorf("warnings %q name no remedy", r.Generator.Warnings)
	}
}
