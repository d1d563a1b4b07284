package integration

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"

	"prefork/internal/golden"
)

// topRun is a running `prefork top` on a terminal.
type topRun struct {
	*Pty
	t       *testing.T
	command *exec.Cmd
	before  *term.State
	stderr  bytes.Buffer
	ended   chan struct{}
}

// startTop starts `prefork top` and waits until it shows rates.
func startTop(t *testing.T, control string, columns, rows int) *topRun {
	t.Helper()
	r := &topRun{Pty: OpenPty(t, columns, rows), t: t, ended: make(chan struct{})}
	r.before = r.Modes()
	r.command = exec.Command(Program(t, "prefork/cmd/prefork"), "top", "--control", control)
	r.command.Stderr = &r.stderr
	r.command.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
	r.Start(r.command)
	go func() {
		_ = r.command.Wait() // ProcessState has the result
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = r.command.Process.Kill()
		<-r.ended
	})
	r.WaitLines("rates", func(lines []string) bool {
		text := strings.Join(lines, "\n")
		return strings.Contains(text, "conn/s") && !strings.Contains(text, "- conn/s")
	})
	return r
}

// end waits until top has ended and checks that it has restored the terminal.
func (r *topRun) end() (code int, stderr string) {
	r.t.Helper()
	Wait(r.t, "top to end", func() (bool, string) {
		select {
		case <-r.ended:
			return true, ""
		default:
			return false, strings.Join(r.Lines(), "\n")
		}
	})
	if after := r.Modes(); !reflect.DeepEqual(after, r.before) {
		r.t.Errorf("terminal modes: %+v, before: %+v", after, r.before)
	}
	for mode, want := range map[string]bool{"?1049": false, "?25": true, "?7": true} {
		Wait(r.t, fmt.Sprintf("terminal mode %s to be %v", mode, want), func() (bool, string) {
			set, known := r.Mode(mode)
			return known && set == want, fmt.Sprint(set, known)
		})
	}
	return r.command.ProcessState.ExitCode(), r.stderr.String()
}

// selected waits for the selected row and returns its words.
func (r *topRun) selected() []string {
	r.t.Helper()
	var words []string
	r.WaitLines("a selected worker", func(lines []string) bool {
		for _, l := range lines {
			if rest, ok := strings.CutPrefix(l, ">"); ok {
				words = strings.Fields(rest)
				return len(words) > 4
			}
		}
		return false
	})
	return words
}

func TestTopShowsAndControlsARunningServer(t *testing.T) {
	t.Parallel()
	c := serve(t, strings.Replace(goodConfig, "workers = 2", "workers = 3", 1))
	r := startTop(t, c.control, 100, 30)
	for _, w := range c.WaitWorkers(3).Workers {
		r.WaitText(fmt.Sprintf(" %d ", w.PID))
	}
	r.WaitText("worker ready") // in the log
	r.Type("C")
	r.WaitText("CPU%↓")
	r.Type("i")
	r.WaitText("CPU%↑")
	r.Type("S")
	r.WaitText("SLOT↑")
	r.Type("\x1b[B\x1b[B\x1b[A")
	r.WaitText("2 of 3, slot 1 ")
	r.Type("?")
	r.WaitText("any key goes back")
	r.Type(" ")
	r.WaitText("SLOT↑")

	r.Resize(50, 12)
	r.WaitLines("a narrow frame", func(lines []string) bool {
		text := strings.Join(lines, "\n")
		return strings.Contains(text, "DOING") && !strings.Contains(text, "HEAP") && lines[11] != ""
	})
	r.Resize(80, 24)
	r.WaitText("HEAP")

	for key, done := range map[string]string{"r": "recycled", "d": "drained"} {
		old := r.selected()
		r.Type(key)
		r.WaitText("(pid " + old[1] + ")? y/n")
		r.Type("y")
		r.WaitText("slot " + old[0] + ": the worker is " + done)
		status := c.WaitWorkers(3)
		for _, w := range status.Workers {
			if fmt.Sprint(w.PID) == old[1] {
				t.Errorf("%s: worker %s is still there: %v", key, old[1], status)
			}
			r.WaitText(fmt.Sprintf(" %d ", w.PID))
		}
		r.WaitLines("the table without worker "+old[1], func(lines []string) bool {
			return !strings.Contains(strings.Join(lines, "\n"), " "+old[1]+" ")
		})
	}
	r.Type("q")
	if code, stderr := r.end(); code != 0 || stderr != "" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestTopRestoresTheTerminalHoweverItEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(*Command, *topRun)
		code int
		want string // on standard error
	}{
		"ctrl-c":         {func(_ *Command, r *topRun) { r.Type("\x03") }, 0, ""},
		"TERM":           {func(_ *Command, r *topRun) { _ = r.command.Process.Signal(syscall.SIGTERM) }, 1, "interrupted"},
		"HUP":            {func(_ *Command, r *topRun) { _ = r.command.Process.Signal(syscall.SIGHUP) }, 1, "interrupted"},
		"a drain":        {func(c *Command, _ *topRun) { c.Signal(syscall.SIGTERM) }, 0, ""},
		"a stop":         {func(c *Command, _ *topRun) { c.Signal(syscall.SIGQUIT) }, 0, ""},
		"a killed serve": {func(c *Command, _ *topRun) { c.Signal(syscall.SIGKILL) }, 1, "is lost"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, goodConfig)
			r := startTop(t, c.control, 80, 24)
			test.end(c, r)
			code, stderr := r.end()
			if code != test.code || !strings.Contains(stderr, test.want) || test.want == "" && stderr != "" {
				t.Errorf("exit %d, %q; want %d, %q", code, stderr, test.code, test.want)
			}
			if strings.HasPrefix(name, "a ") && test.code == 0 {
				r.WaitText("the server has ended")
			}
		})
	}
}

func TestTopOncePrintsPlainText(t *testing.T) {
	t.Parallel()
	c := serve(t, goodConfig)
	code, stdout, stderr := c.run("top", "--once")
	if code != 0 || stderr != "" || strings.ContainsRune(stdout, '\x1b') {
		t.Fatalf("exit %d, %q, %q", code, stdout, stderr)
	}
	for _, w := range c.WaitWorkers(2).Workers {
		if !strings.Contains(stdout, fmt.Sprintf(" %d ", w.PID)) {
			t.Errorf("no worker %d in:\n%s", w.PID, stdout)
		}
	}
	if !strings.Contains(stdout, "rate      0 conn/s") {
		t.Errorf("no rate in:\n%s", stdout)
	}
	if code, _, stderr := c.run("top"); code != 2 || !strings.Contains(stderr, "not a terminal; use --once") {
		t.Errorf("without a terminal: exit %d, %q", code, stderr)
	}
}

// -update writes the frame as a picture for the documents.
func TestTopShowsWhatABusyWorkerIsDoing(t *testing.T) {
	t.Parallel()
	s := Start(t, line(4))
	s.Do("reload")
	crashed := s.Dial()
	crashed.Send("nil")
	_ = crashed.WaitClosed()
	s.WaitStatus("a new worker for the one that crashed", func(status *Status) bool {
		return status.Totals.Restarts == 1 && len(status.Serving()) == 4
	})
	busy := s.Dial()
	busy.Send("sleep 1h")
	network, address := s.Address("")
	for kind, clients := range map[Kind]int{Persistent: 10, PerRequest: 4} {
		load := Load{Kind: kind, Network: network, Address: address, Clients: clients, Pause: 5 * time.Millisecond, PerConn: 50}.Start(t.Context())
		defer load.Stop()
	}
	r := startTop(t, filepath.Join(s.Dir, "control"), 100, 24)
	sleeper := regexp.MustCompile(`\b[0-9.]+s 127\.0\.0\.1:[0-9]+ sleep 1h`)
	rated := regexp.MustCompile(`(?m)^rate +[1-9].*\n.*\nlatency +p50 [1-9]`)
	r.WaitLines("the sleeper's worker to report", func(lines []string) bool {
		return sleeper.MatchString(strings.Join(lines, "\n"))
	})
	r.Type("D\x1b[H") // sort by the longest answer and select the first row
	r.WaitLines("the request of the sleeper, a rate and a latency", func(lines []string) bool {
		text := strings.Join(lines, "\n")
		return len(sleeper.FindAllString(text, -1)) == 1 && rated.MatchString(text) && strings.Contains(text, "DOING↓") &&
			strings.Contains(lines[len(lines)-1], "sleep 1h")
	})
	path := filepath.Join("..", "docs", "img", "top.svg")
	if golden.Updating() {
		golden.Write(t, path, Picture("prefork top: four workers under load, one of them busy with one answer", r.Cells()))
	}
	picture, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(picture, new(struct{})); err != nil || !sleeper.Match(picture) {
		t.Errorf("%s is not a picture of this frame: %v", path, err)
	}
	r.Type("q")
	if code, stderr := r.end(); code != 0 || stderr != "" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
