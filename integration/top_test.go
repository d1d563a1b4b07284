package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// top is `prefork top` on a terminal.
type topRun struct {
	*Pty
	t       *testing.T
	command *exec.Cmd
	before  unix.Termios
	stderr  bytes.Buffer
	ended   chan struct{}
}

// startTop starts it on the server, and waits for its first whole picture.
func startTop(c *Command, columns, rows int) *topRun {
	c.t.Helper()
	r := &topRun{Pty: OpenPty(c.t, columns, rows), t: c.t, ended: make(chan struct{})}
	r.before = r.Modes()
	r.command = exec.Command(c.binary, "top", "--control", c.control)
	r.command.Stderr = &r.stderr
	r.command.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
	r.Start(r.command)
	go func() {
		_ = r.command.Wait() // the state says it all
		close(r.ended)
	}()
	c.t.Cleanup(func() {
		_ = r.command.Process.Kill()
		<-r.ended
	})
	r.WaitLines("rates", func(lines []string) bool {
		text := strings.Join(lines, "\n")
		return strings.Contains(text, "conn/s") && !strings.Contains(text, "- conn/s")
	})
	return r
}

// end waits for the end and sees that the terminal is as it was.
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

// selected waits for the row that is marked and returns its words.
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

func TestTopShowsAndSteersARunningServer(t *testing.T) {
	c := serve(t, strings.Replace(goodConfig, "workers = 2", "workers = 3", 1))
	r := startTop(c, 100, 30)
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
	r.WaitLines("a narrow picture", func(lines []string) bool {
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
	}
	r.Type("q")
	if code, stderr := r.end(); code != 0 || stderr != "" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestTopGivesTheTerminalBackHoweverItEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*Command, *topRun)
		code int
		says string // on standard error
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
			r := startTop(c, 80, 24)
			test.end(c, r)
			code, stderr := r.end()
			if code != test.code || !strings.Contains(stderr, test.says) || test.says == "" && stderr != "" {
				t.Errorf("exit %d, %q; want %d, %q", code, stderr, test.code, test.says)
			}
			if strings.HasPrefix(name, "a ") && test.code == 0 {
				r.WaitText("the server has ended")
			}
		})
	}
}

func TestTopOnceIsForScripts(t *testing.T) {
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
	if code, _, stderr := c.run("top"); code != 2 || !strings.Contains(stderr, "no terminal; use --once") {
		t.Errorf("without a terminal: exit %d, %q", code, stderr)
	}
}
