package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"prefork/internal/needtool"
	"prefork/internal/testdir"
)

// These tests run the commands of the documents. They change only what would be
// slow or would reach another server: durations and counts are smaller, the
// kernel chooses the ports, and files are in a directory of the test.

// commands returns the lines of a document's sh blocks in order.
func commands(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "":
			lines = append(lines, line)
		}
	}
	return lines
}

// reader runs the commands of a document.
type reader struct {
	t         *testing.T
	binary    string
	dir       string            // the working directory, which also replaces /tmp
	addresses map[string]string // real addresses by those in the document
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, binary: Program(t, "prefork/cmd/prefork"), dir: testdir.Short(t), addresses: map[string]string{}}
	if err := os.Symlink(r.binary, filepath.Join(r.dir, "prefork")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.runtimeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

// runtimeDir is the directory of the servers' control sockets.
func (r *reader) runtimeDir() string { return filepath.Join(r.dir, "run") }

// shorter lists the substitutions that save time. They do not change what a
// command does.
var shorter = []struct{ long, short string }{
	{`-d [0-9]+s\b`, "-d 300ms"},
	{`@[0-9]+s\b`, "@150ms"},
	{`--warmup [0-9]+s\b`, "--warmup 50ms"},
	{`-n [0-9]+\b`, "-n 500"},
	{`'p99>1s'`, "'p99>1h'"}, // a slow machine must not fail the test
}

// shortened returns the command with shorter durations and real addresses.
func (r *reader) shortened(line string) string {
	for _, s := range shorter {
		line = regexp.MustCompile(s.long).ReplaceAllLiteralString(line, s.short)
	}
	for written, real := range r.addresses {
		line = strings.ReplaceAll(line, written, real)
	}
	return strings.ReplaceAll(line, "/tmp/", r.dir+"/")
}

// command prepares a program. Among the servers of the machine it finds only
// this reader's.
func (r *reader) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(name, args...)
	command.Dir = r.dir
	command.Env = append(os.Environ(), "PATH="+r.dir+":"+os.Getenv("PATH"), "TMPDIR="+r.runtimeDir(), "XDG_RUNTIME_DIR="+r.runtimeDir())
	return command
}

// runLine runs a line in a shell and returns its output.
func (r *reader) runLine(t *testing.T, line string) string {
	t.Helper()
	line = r.shortened(line)
	out, err := r.command("sh", "-ec", line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

var addressPattern = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// startServer runs a line that starts a server, with a port that the kernel
// chooses.
func (r *reader) startServer(line, control string) *Server {
	r.t.Helper()
	address := addressPattern.FindString(line)
	fields := strings.Fields(addressPattern.ReplaceAllLiteralString(r.shortened(line), "127.0.0.1:0"))
	s := StartCommand(r.t, control, r.command(r.binary, fields[1:]...))
	if control == "" {
		s.Control = NewControl(r.socket())
	}
	s.WaitState("running")
	if address != "" {
		_, r.addresses[address] = s.Address("")
	}
	return s
}

// socket returns the control socket of a server that has the default path.
func (r *reader) socket() string {
	r.t.Helper()
	var found []string
	Wait(r.t, "a control socket", func() (bool, string) {
		found, _ = filepath.Glob(filepath.Join(r.runtimeDir(), "prefork", "*.sock")) // the pattern is valid
		return len(found) == 1, strings.Join(found, " ")
	})
	return found[0]
}

var controlFlag = regexp.MustCompile(`--control (\S+)`)

func TestCommandsOfTheLoadDocumentWork(t *testing.T) {
	r := newReader(t)
	ran := 0
	for _, line := range commands(t, "../docs/load-testing.md") {
		if strings.HasPrefix(line, "prefork serve") {
			r.startServer(line, controlFlag.FindStringSubmatch(r.shortened(line))[1])
			continue
		}
		ran++
		t.Run(line, func(t *testing.T) {
			tool, _, _ := strings.Cut(line, " ")
			if tool != "prefork" {
				needtool.Need(t, tool, "of that name")
			}
			out := r.runLine(t, line)
			if reports := strings.HasPrefix(line, "prefork load ") && !strings.Contains(line, ">") && !strings.Contains(line, "compare"); reports &&
				!strings.Contains(out, "\nerrors     none\n") {
				t.Errorf("want a report without errors:\n%s", out)
			}
		})
	}
	if ran < 10 {
		t.Errorf("found only %d commands", ran)
	}
	if out := r.runLine(t, "prefork reload --control /tmp/prefork-load.sock"); !strings.Contains(out, "generation 2") {
		t.Errorf("reload: %s", out)
	}
	if page, err := os.ReadFile(filepath.Join(r.dir, "reload.html")); err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("no plot: %v", err)
	}
}

func TestCommandsOfTheMetricsDocumentWork(t *testing.T) {
	needtool.Need(t, "curl", "of that name")
	r := newReader(t)
	lines := commands(t, "../docs/metrics.md")
	serve, requests := lines[0], lines[1:]
	s := r.startServer(serve+" --listen tcp://127.0.0.1:9999", controlFlag.FindStringSubmatch(r.shortened(serve))[1])
	r.addresses[addressPattern.FindString(serve)] = s.MetricsAddress()
	for _, line := range requests {
		if out := r.runLine(t, line); !strings.Contains(out, "prefork_connections_accepted_total 0\n") {
			t.Errorf("%s: no metrics:\n%s", line, out)
		}
	}
	if len(requests) != 2 {
		t.Errorf("found %q, want two commands", requests)
	}
}

func TestCommandsOfTheReadmeWork(t *testing.T) {
	r := newReader(t)
	settings, err := os.ReadFile("../prefork.toml")
	if err != nil {
		t.Fatal(err)
	}
	address := string(addressPattern.Find(settings))
	settings = bytes.Replace(settings, []byte(address), []byte("127.0.0.1:0"), 1)
	if err := os.WriteFile(filepath.Join(r.dir, "prefork.toml"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	var s *Server
	outputs := map[string]string{} // by command
	for _, line := range commands(t, "../README.md") {
		words := strings.Fields(line)
		switch {
		case words[0] != "./prefork": // builds the program, which Program has done
		case words[1] == "serve":
			line, _, _ = strings.Cut(line, "#")
			s = r.startServer(line, "")
			_, r.addresses[address] = s.Address("")
		case words[1] == "top": // without --once it needs a terminal
			line, _, _ = strings.Cut(line, "#")
			outputs["top"] = r.runLine(t, line+" --once")
		default:
			outputs[words[1]] = r.runLine(t, line)
		}
	}
	if s == nil {
		t.Fatal("the README has no serve command")
	}
	if code := s.WaitExit(); code != 0 {
		t.Errorf("serve: exit %d after the drain", code)
	}
	for command, want := range map[string]string{
		"status": "running", "reload": "generation 2", "top": "conn/s", "load": "errors     none", "scale": "workers", "check": "", "drain": "",
	} {
		if out, ran := outputs[command]; !ran || !strings.Contains(out, want) {
			t.Errorf("%s: ran: %v; output %q, want %q in it", command, ran, out, want)
		}
	}
}

func TestFiguresOfTheReadmeAreInTheBenchmarks(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, cost, _ := strings.Cut(string(readme), "**What does it cost?**")
	cost, _, _ = strings.Cut(cost, "\n- **")
	figures := regexp.MustCompile(`[0-9]+\.[0-9]+`).FindAllString(cost, -1)
	if len(figures) == 0 {
		t.Error("the README does not say what prefork costs")
	}
	for _, figure := range figures {
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(figure) + `\b`).Match(page) {
			t.Errorf("docs/benchmarks.md has no %s", figure)
		}
	}
}
