package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prefork/internal/golden"
	"prefork/internal/needtool"
)

func TestATypoIsAnsweredWithTheNearestName(t *testing.T) {
	place(t)
	for _, c := range []struct{ args, want string }{
		{"relod", `unknown command "relod"; did you mean "reload"?`},
		{"stauts --json", `unknown command "stauts"; did you mean "status"?`},
		{"banana", `unknown command "banana"`},
		{"completion fishy", `unknown shell "fishy"; did you mean "fish"?`},
		{"completion bash now", `prefork completion bash takes no arguments, but there is "now"`},
		{"status --listen foo", `--listen: address "foo": no scheme; write tcp://host:port, unix:///path or systemd:NAME`},
		{"help serv", `unknown command "serv"; did you mean "serve"?`},
		{"serve --drian-timeout 3s", `unknown flag --drian-timeout; did you mean "--drain-timeout"?`},
		{"serve --mode threding", `invalid argument "threding" for "--mode" flag: unknown mode "threding"; did you mean "threading"?`},
		{"serve --handler uper", `--handler: unknown handler "uper"; did you mean "upper"?`},
		{"serve --option max_lin=3", `--option max_lin: unknown option "max_lin" of handler upper; did you mean "max_line"?`},
		{"serve --option max_line", `invalid argument "max_line" for "--option" flag: want KEY=VALUE`},
		{"serve --workers 8-2", `invalid argument "8-2" for "--workers" flag: the minimum 8 is above the maximum 2`},
		{"serve --log-format jsn", `invalid argument "jsn" for "--log-format" flag: unknown log format "jsn"; did you mean "json"?`},
		{"serve -x", `unknown shorthand flag: 'x' in -x`},
		{"serve --config=", `invalid argument "" for "--config" flag: it is empty; is a variable not set?`},
		{"unit --config=", `invalid argument "" for "--config" flag: it is empty; is a variable not set?`},
		{"stop --control=", `invalid argument "" for "--control" flag: it is empty; is a variable not set?`},
		{"stop --listen=", `invalid argument "" for "--listen" flag: it is empty; is a variable not set?`},
		{"stop --config=", `invalid argument "" for "--config" flag: it is empty; is a variable not set?`},
		{"serve now", `prefork serve takes no arguments, but there is "now"`},
	} {
		r := runHere(strings.Fields(c.args)...)
		first, _, _ := strings.Cut(r.stderr, "\n")
		if r.status != 2 || first != "prefork: "+c.want {
			t.Errorf("%s: %+v, want status 2 and %s", c.args, r, c.want)
		}
	}
}

func TestCheckAcceptsTheExampleAndPrintsWhatWouldRun(t *testing.T) {
	example := filepath.Join("..", "..", "prefork.toml")
	r := runHere("check", "--config", example)
	if r.status != 0 || !strings.HasPrefix(r.stdout, example+": ok\n") || !strings.Contains(r.stdout, "\nmode = \"threading\"\n") {
		t.Fatalf("check: %+v", r)
	}
	_, printed, _ := strings.Cut(r.stdout, "\n")
	file := filepath.Join(t.TempDir(), "effective.toml")
	write(t, file, printed)
	again := runHere("check", file)
	if _, twice, _ := strings.Cut(again.stdout, "\n"); again.status != 0 || twice != printed {
		t.Errorf("what check prints is not a file that check accepts: %+v", again)
	}
	if r := runHere("check", example, "--quiet", "--mode", "forking"); r.status != 0 || r.stdout != example+": ok\n" {
		t.Errorf("quiet: %+v", r)
	}
	if r := runHere("check", example, "--mode", "forking"); !strings.Contains(r.stdout, "\nmode = \"forking\"\n") {
		t.Errorf("a flag does not win: %+v", r)
	}
}

func TestCheckAndServeRefuseAFileInTheSameWordsWithStatus78(t *testing.T) {
	place(t)
	file := filepath.Join(t.TempDir(), "bad.toml")
	write(t, file, "mode = \"threding\"\n[limits]\nmax_children = 0\ndrian = 1\n")
	want := file + `:1: mode: unknown mode "threding"; did you mean "threading"?` + "\n" +
		file + `:3: max_children: at least 1, not 0` + "\n" +
		file + `:4: unknown key "drian" in [limits]` + "\n"
	for _, args := range [][]string{{"check", file}, {"check", "--config", file}, {"serve", "--config", file}} {
		if r := runHere(args...); r.status != 78 || r.stdout != "" || r.stderr != want {
			t.Errorf("%q: %+v, want status 78 and\n%s", args, r, want)
		}
	}
	if r := runHere("check"); r.status != 2 || !strings.Contains(r.stderr, "name a file") {
		t.Errorf("check without a file: %+v", r)
	}
	if r := runHere("check", file, "--config", file); r.status != 2 {
		t.Errorf("check with two files: %+v", r)
	}
}

func TestADeepCheckFindsTheHandlersDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.toml")
	for root, want := range map[string]string{dir: "", file: "not a directory", filepath.Join(dir, "none"): "no such file or directory"} {
		write(t, file, "handler = \"http\"\n[options]\nroot = \""+root+"\"\n")
		if r := runHere("check", "-q", file); r.status != 0 {
			t.Errorf("not deep: %+v", r)
		}
		r := runHere("check", "-q", "--deep", file)
		if want == "" && r.status == 0 {
			continue
		}
		if r.status != 78 || !strings.HasPrefix(r.stderr, file+":3: root: ") || !strings.Contains(r.stderr, want) {
			t.Errorf("root %s: %+v, want status 78 and %q", root, r, want)
		}
	}
	if r := runHere("check", "-q", "--deep", file, "--option", "root="+filepath.Join(dir, "none")); r.status != 2 || !strings.Contains(r.stderr, "--option root: ") {
		t.Errorf("a flag: %+v", r)
	}
}

func TestHelpHasUsageExamplesAndFlags(t *testing.T) {
	if r := runHere(); r.status != 0 || r.stdout == "" {
		t.Errorf("prefork without arguments: %+v", r)
	}
	golden.Check(t, "testdata/help.golden", runHere("--help").stdout)
	golden.Check(t, "testdata/help-scale.golden", runHere("help", "scale").stdout)
	serve := runHere("serve", "--help").stdout
	for _, want := range []string{"Handlers, and their options", "max_line", "--drain-timeout DURATION", "Timeouts:", "(default threading)", "Examples:"} {
		if !strings.Contains(serve, want) {
			t.Errorf("serve --help does not have %q:\n%s", want, serve)
		}
	}
	for _, c := range newRoot(io.Discard, io.Discard).Commands() {
		if c.Name() == "completion" || c.Hidden {
			continue
		}
		if n := strings.Count(c.Example, "\n") + 1; n < 2 || c.Long == "" || c.Short == "" {
			t.Errorf("%s: %d examples, long text %q", c.Name(), n, c.Long)
		}
		if r := runHere(c.Name(), "--help"); r.status != 0 || !strings.Contains(r.stdout, "Usage:\n  prefork "+c.Name()) {
			t.Errorf("%s --help: %+v", c.Name(), r)
		}
		for _, line := range strings.Split(runHere(c.Name(), "--help").stdout, "\n") {
			if len(line) > columns {
				t.Errorf("%s --help: a line of %d columns: %s", c.Name(), len(line), line)
			}
		}
	}
}

func TestCompletionKnowsCommandsHandlersAndModes(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := runHere("completion", shell); r.status != 0 || !strings.Contains(r.stdout, "prefork") {
			t.Errorf("completion %s: status %d, %d bytes, %s", shell, r.status, len(r.stdout), r.stderr)
		}
	}
	for _, c := range []struct{ args, want []string }{
		{[]string{"rel"}, []string{"reload\tload the configuration again; nothing is dropped"}},
		{[]string{"serve", "--mode", ""}, []string{"sequential", "threading", "forking", "event"}},
		{[]string{"serve", "--handler", ""}, []string{"discard", "echo", "http", "upper"}},
		{[]string{"serve", "--handler", "upper", "--option", ""}, []string{"max_line="}},
		{[]string{"serve", "--handler", "none", "--option", ""}, nil},
		{[]string{"log-level", ""}, []string{"debug", "info", "warn", "error"}},
	} {
		r := runHere(append([]string{"__complete"}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
		if got := lines[:len(lines)-1]; !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestVersionPrintsTheVersionOfTheBinary(t *testing.T) {
	if r := runHere("version"); r.status != 0 || !strings.HasPrefix(r.stdout, "prefork ") || !strings.Contains(r.stdout, "go1.") {
		t.Errorf("version: %+v", r)
	}
	var b buildInfo
	if r := runHere("version", "--json"); r.status != 0 || json.Unmarshal([]byte(r.stdout), &b) != nil || b.Go == "" || b.Version == "" {
		t.Errorf("version --json: %+v", r)
	}
	b = buildInfo{Version: "devel", Commit: "0123456789abcdef", Modified: true}
	if got, want := b.String(), "devel-0123456789ab+dirty"; got != want {
		t.Errorf("String = %s, want %s", got, want)
	}
}

func TestTheProcessHasTheExitStatus(t *testing.T) {
	dir := place(t)
	bad := filepath.Join(dir, "bad.toml")
	write(t, bad, "mode = 1\n")
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"version"}, 0},
		{[]string{"status"}, 1},
		{[]string{"nonsense"}, 2},
		{[]string{"serve", "--config", bad}, 78},
		{[]string{"check", bad}, 78},
	} {
		if r := runProcess(t, c.args...); r.status != c.want {
			t.Errorf("%q: %+v, want status %d", c.args, r, c.want)
		}
	}
}

func TestABrokenStandardOutputDoesNotPanic(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		needtool.Skip(t, "no /dev/full: %v", err)
	}
	defer full.Close()
	var stderr strings.Builder
	if status := run([]string{"version"}, full, &stderr); status != 1 || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("status %d, %q, want 1 and the reason", status, stderr.String())
	}
}
