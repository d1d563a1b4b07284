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

// The documents tell a reader what to type. These tests type it, as it stands
// but for what would make them slow or meet another server: durations and
// counts are shorter, ports are the kernel's choice, files lie in a directory
// of the test's own.

// commands returns the lines of a document's sh blocks, in order.
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

// reader is somebody who follows a document.
type reader struct {
	t      *testing.T
	binary string
	dir    string            // where they are, and where /tmp is to them
	places map[string]string // the addresses of the document, and the real ones
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, binary: Program(t, "prefork/cmd/prefork"), dir: testdir.Short(t), places: map[string]string{}}
	if err := os.Symlink(r.binary, filepath.Join(r.dir, "prefork")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.run(), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

// run is where servers have their control sockets.
func (r *reader) run() string { return filepath.Join(r.dir, "run") }

// shorter are the substitutions that save time. None of them changes what a
// command does.
var shorter = []struct{ long, short string }{
	{`-d [0-9]+s\b`, "-d 300ms"},
	{`@[0-9]+s\b`, "@150ms"},
	{`--warmup [0-9]+s\b`, "--warmup 50ms"},
	{`-n [0-9]+\b`, "-n 500"},
	{`'p99>1s'`, "'p99>1h'"}, // no test fails for being slow
}

// hurried is the command as this reader types it.
func (r *reader) hurried(line string) string {
	for _, s := range shorter {
		line = regexp.MustCompile(s.long).ReplaceAllLiteralString(line, s.short)
	}
	for written, real := range r.places {
		line = strings.ReplaceAll(line, written, real)
	}
	return strings.ReplaceAll(line, "/tmp/", r.dir+"/")
}

// command prepares a program that runs where the reader is. It finds only this
// reader's server.
func (r *reader) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(name, args...)
	command.Dir = r.dir
	command.Env = append(os.Environ(), "PATH="+r.dir+":"+os.Getenv("PATH"), "TMPDIR="+r.run(), "XDG_RUNTIME_DIR="+r.run())
	return command
}

// types runs a line in a shell.
func (r *reader) types(t *testing.T, line string) string {
	t.Helper()
	line = r.hurried(line)
	out, err := r.command("sh", "-ec", line).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

var written = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// serves starts a line that serves, on a port of the kernel's choice.
func (r *reader) serves(line, control string) *Server {
	r.t.Helper()
	address := written.FindString(line)
	fields := strings.Fields(written.ReplaceAllLiteralString(r.hurried(line), "127.0.0.1:0"))
	s := StartCommand(r.t, control, r.command(r.binary, fields[1:]...))
	if control == "" {
		s.Control = NewControl(r.socket())
	}
	s.WaitState("running")
	if address != "" {
		_, r.places[address] = s.Address("")
	}
	return s
}

// socket is where a server that was told no path has its control socket.
func (r *reader) socket() string {
	r.t.Helper()
	var found []string
	Wait(r.t, "a control socket", func() (bool, string) {
		found, _ = filepath.Glob(filepath.Join(r.run(), "prefork", "*.sock")) // the pattern is good
		return len(found) == 1, strings.Join(found, " ")
	})
	return found[0]
}

var controlFlag = regexp.MustCompile(`--control (\S+)`)

func TestCommandsOfTheLoadDocumentWork(t *testing.T) {
	r := newReader(t)
	run := 0
	for _, line := range commands(t, "../docs/load-testing.md") {
		if strings.HasPrefix(line, "prefork serve") {
			r.serves(line, controlFlag.FindStringSubmatch(r.hurried(line))[1])
			continue
		}
		run++
		t.Run(line, func(t *testing.T) {
			tool, _, _ := strings.Cut(line, " ")
			if tool != "prefork" {
				needtool.Need(t, tool, "of that name")
			}
			out := r.types(t, line)
			if reports := strings.HasPrefix(line, "prefork load ") && !strings.Contains(line, ">") && !strings.Contains(line, "compare"); reports &&
				!strings.Contains(out, "\nerrors     none\n") {
				t.Errorf("errors, or no report:\n%s", out)
			}
		})
	}
	if run < 10 {
		t.Errorf("found only %d commands", run)
	}
	if out := r.types(t, "prefork reload --control /tmp/prefork-load.sock"); !strings.Contains(out, "generation 2") {
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
	serve, asks := lines[0], lines[1:]
	s := r.serves(serve+" --listen tcp://127.0.0.1:9999", controlFlag.FindStringSubmatch(r.hurried(serve))[1])
	r.places[written.FindString(serve)] = s.MetricsAddress()
	for _, line := range asks {
		if out := r.types(t, line); !strings.Contains(out, "prefork_connections_accepted_total 0\n") {
			t.Errorf("%s: no metrics:\n%s", line, out)
		}
	}
	if len(asks) != 2 {
		t.Errorf("found %q, want two commands", asks)
	}
}

func TestCommandsOfTheReadmeWork(t *testing.T) {
	r := newReader(t)
	settings, err := os.ReadFile("../prefork.toml")
	if err != nil {
		t.Fatal(err)
	}
	address := string(written.Find(settings))
	settings = bytes.Replace(settings, []byte(address), []byte("127.0.0.1:0"), 1)
	if err := os.WriteFile(filepath.Join(r.dir, "prefork.toml"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	var s *Server
	said := map[string]string{} // by the command
	for _, line := range commands(t, "../README.md") {
		words := strings.Fields(line)
		switch {
		case words[0] != "./prefork": // builds it, which is done
		case words[1] == "serve":
			line, _, _ = strings.Cut(line, "#")
			s = r.serves(line, "")
			_, r.places[address] = s.Address("")
		case words[1] == "top": // live, it wants a terminal
			line, _, _ = strings.Cut(line, "#")
			said["top"] = r.types(t, line+" --once")
		default:
			said[words[1]] = r.types(t, line)
		}
	}
	if s == nil {
		t.Fatal("the README does not serve")
	}
	if code := s.WaitExit(); code != 0 {
		t.Errorf("serve left with %d after the drain", code)
	}
	for command, says := range map[string]string{
		"status": "running", "reload": "generation 2", "top": "conn/s", "load": "errors     none", "scale": "workers", "check": "", "drain": "",
	} {
		if out, ran := said[command]; !ran || !strings.Contains(out, says) {
			t.Errorf("%s: ran: %v; %q, want %q in it", command, ran, out, says)
		}
	}
}

// A figure of the README is one that the benchmarks' page has.
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
