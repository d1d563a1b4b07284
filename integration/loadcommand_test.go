package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/internal/load"
	"prefork/internal/needtool"
)

// loadResult runs prefork load and returns its result.
func loadResult(t *testing.T, args ...string) *load.Result {
	t.Helper()
	code, stdout, stderr := execute(t, exec.Command(Program(t, "prefork/cmd/prefork"), append([]string{"load", "--json"}, args...)...))
	var r load.Result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	return &r
}

// The schedule continues during reloads. Each reload is a mark in the result,
// and no request is lost.
func TestAnOpenLoopMarksTwentyReloadsWithoutErrors(t *testing.T) {
	c := serve(t, goodConfig)
	_, address := c.Address("")
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, c.binary, "load", "--json", "tcp://"+address, "--rate", "500", "-d", "1h", "-c", "16",
		"--per-connection", "50", "--expect", "upper", "--control", c.control)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) } // so that it prints its result
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c.WaitStatus("the load", func(s *Status) bool { return s.Totals.Accepted > 20 })
	const reloads = 20
	for range reloads {
		if code, _, stderr := c.run("reload"); code != 0 {
			t.Errorf("reload: exit %d, %s", code, stderr)
		}
	}
	marked := c.WaitStatus("the generation", func(s *Status) bool { return s.Generation == reloads+1 }).Totals.Accepted
	c.WaitStatus("more load", func(s *Status) bool { return s.Totals.Accepted > marked+20 })
	cancel()
	_ = command.Wait() // returns that ctx was cancelled
	var r load.Result
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	marks := 0
	for _, m := range r.Marks {
		if m.Kind == "reload" {
			marks++
		}
	}
	if marks != reloads || r.Failed() != 0 || r.Requests == 0 || len(r.Series) == 0 {
		t.Errorf("%d marks of %d reloads, %d requests, errors %v %v, %d seconds", marks, reloads, r.Requests, r.Errors, r.Examples, len(r.Series))
	}
}

// The server stalls for 100 ms once a second. A client that waits for each
// answer hardly notices. A client with a schedule does, because requests become
// due during the stall.
func TestCorrectedLatenciesShowStalls(t *testing.T) {
	address := serveTCP(t, func(c *net.TCPConn, _ int) {
		stall := time.NewTicker(time.Second)
		defer stall.Stop()
		in := bufio.NewReader(c)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case <-stall.C:
				time.Sleep(100 * time.Millisecond) // the stall itself
			default:
			}
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
	})
	r := loadResult(t, "tcp://"+address, "--rate", "2000", "-d", "4s", "-c", "1", "--expect", "echo")
	// Of 2000 requests, one was sent before the stall and 200 were due during it.
	if r.Failed() != 0 || r.Corrected.P999S < 0.09 {
		t.Errorf("corrected p99.9 %v s, errors %v; want the stall of 0.1 s in it", r.Corrected.P999S, r.Errors)
	}
	if r.Uncorrected.Count != r.Requests || r.Uncorrected.P999S >= r.Corrected.P999S {
		t.Errorf("uncorrected p99.9 %v s, corrected %v s", r.Uncorrected.P999S, r.Corrected.P999S)
	}
	t.Logf("p99.9 corrected %v s, uncorrected %v s", r.Corrected.P999S, r.Uncorrected.P999S)
}

const pythonServer = `
import socketserver, sys
class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64
with Server(("127.0.0.1", 0), Upper) as s:
    print(s.server_address[1], flush=True)
    s.serve_forever()
`

func TestLoadMeasuresAPythonServer(t *testing.T) {
	python := needtool.Need(t, "python3", "python3")
	command := exec.Command(python, "-c", pythonServer)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range [][]string{{"-n", "5000", "-c", "16"}, {"-n", "300", "-c", "4", "--churn"}} {
		r := loadResult(t, append(mode, "tcp://127.0.0.1:"+strings.TrimSpace(port), "--expect", "upper")...)
		if r.Failed() != 0 || r.Server == nil || r.Server.CPUS <= 0 {
			t.Errorf("%v: errors %v %v, server %+v", mode, r.Errors, r.Examples, r.Server)
		}
	}
}

// On a terminal the progress line is shown during the run and removed at the
// end.
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
	p.WaitLines("a progress line", func(lines []string) bool {
		line := strings.Join(lines, "\n")
		return strings.Contains(line, "/s  3 active  0 errors  p50 ") && strings.Contains(line, "  p99 ") && strings.HasSuffix(line, " left"+strings.Repeat("\n", len(lines)-1))
	})
	p.Type("\x03") // ends the run, not the report
	p.WaitText("traffic ")
	if err := <-ended; err != nil {
		t.Errorf("load: %v", err)
	}
	if lines := p.WaitText("generator "); strings.Contains(strings.Join(lines, "\n"), " left") {
		t.Errorf("the progress line is still shown:\n%s", strings.Join(lines, "\n"))
	}
}

// If the client has too few descriptors, the result says so and does not count
// them as failures of the server.
func TestLoadReportsThatItRanOutOfDescriptors(t *testing.T) {
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
		t.Errorf("exit %d, %d requests, errors %v; want requests and only out_of_descriptors", code, r.Requests, r.Errors)
	}
	if !strings.Contains(strings.Join(r.Generator.Warnings, "\n"), "raise the limit of open files") {
		t.Errorf("warnings %q have no remedy", r.Generator.Warnings)
	}
}
