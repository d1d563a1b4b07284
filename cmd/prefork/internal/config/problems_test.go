package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prefork/internal/golden"
)

// NAME.want has the problems of testdata/problems/NAME.toml.
func TestEveryProblemOfAFileIsReportedAtOnceByLine(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.toml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d cases, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			_, err := Parse("prefork.toml", []byte(readFile(t, file)), nil)
			if err == nil {
				t.Fatal("no problems")
			}
			golden.Check(t, strings.TrimSuffix(file, ".toml")+".want", err.Error()+"\n")
		})
	}
}

func TestOneProblemOfEachKindOfValue(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`listen = []`, `1: listen: the list is empty`},
		{`listen = 9999`, `1: listen: want a list of strings, not 9999`},
		{`listen = ["tcp://:1", 2]`, `1: listen: want a list of strings, not 2`},
		{`listen = ["tcp://:1", "tcp://:1"]`, `1: listen: address "tcp://:1": given twice`},
		{`listen = ["tcp://:1", "tcp://[::]:1"]`, `1: listen: address "tcp://[::]:1": the same socket as "tcp://:1"`},
		{`listen = ["tcp://:1", "tcp4://:1"]`, `1: listen: address "tcp4://:1": it overlaps "tcp://:1", and only one of them can listen`},
		{`mode = 3`, `1: mode: want a string, not 3`},
		{`mode = "event-driven"`, `1: mode: unknown mode "event-driven"; want sequential, threading, forking or event`},
		{`mode = "evnet"`, `1: mode: unknown mode "evnet"; did you mean "event"?`},
		{"mode = \"event\"\nhandler = \"http\"", `1: mode: the handler http does not run in mode event; use threading`},
		{"mode = \"event\"\n[options]\nmax_line = \"65KiB\"", `3: max_line: 65KiB is above max_message, which is 64KiB; raise it, or use another mode than event`},
		{"mode = \"event\"\nmax_message = \"1MiB\"\n[options]\nmax_line = \"1MiB\"", `4: max_line: 1MiB needs 1088KiB of max_unsent, which is 1MiB; raise it, or use another mode than event`},
		{`max_message = "1"`, `1: max_message: at least 1KiB, not 1B`},
		{`max_unsent = "2GiB"`, `1: max_unsent: at most 1GiB, not 2GiB`},
		{`handler = "uper"`, `1: handler: unknown handler "uper"; did you mean "upper"?`},
		{`workers = 0`, `1: workers: at least 1 worker is needed, not 0`},
		{`workers = -2`, `1: workers: at least 1 worker is needed, not -2`},
		{`workers = "0-4"`, `1: workers: at least 1 worker is needed, not 0`},
		{`workers = "4-2"`, `1: workers: the minimum 4 is above the maximum 2`},
		{`workers = "many"`, `1: workers: want a number, "auto" or "MIN-MAX", not "many"`},
		{`workers = 2.5`, `1: workers: want a number, "auto" or "MIN-MAX", not 2.5`},
		{`workers = 100000`, `1: workers: at most 1024, not 100000`},
		{`reuse_address = "yes"`, `1: reuse_address: want true or false, not "yes"`},
		{`metrics = "9100"`, `1: metrics: "9100": want host:port, tcp://host:port or unix:///path`},
		{`metrics = "localhost:http"`, `1: metrics: "localhost:http": want host:port, tcp://host:port or unix:///path`},
		{`status_page = true`, `1: status_page: it is served on the metrics address, and metrics is empty`},
		{`drain_timeout = 30`, `1: drain_timeout: want a duration such as "30s" or "1m30s", not 30`},
		{`drain_timeout = "30"`, `1: drain_timeout: want a duration such as "30s" or "1m30s", not "30"`},
		{`drain_timeout = "0s"`, `1: drain_timeout: at least 1ms, not 0s`},
		{`worker_timeout = "400ms"`, `1: worker_timeout: at least 2s, not 400ms`},
		{`read_timeout = "-1s"`, `1: read_timeout: at least 0s, not -1s`},
		{`read_timeout = "1000000h"`, `1: read_timeout: at most 87600h, not 1000000h`},
		{`recycle_rss = "10 potatoes"`, `1: recycle_rss: want a size such as "64KiB" (B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB), not "10 potatoes"`},
		{`recycle_rss = "99999999999999TiB"`, `1: recycle_rss: size "99999999999999TiB" is more than 64 bits hold`},
		{`recycle_rss = -1`, `1: recycle_rss: at least 0, not -1`},
		{`max_connections = "x"`, `1: max_connections: want a whole number, not "x"`},
		{`max_connections = [1]`, `1: max_connections: want a whole number, not a list`},
		{`max_connections = {}`, `1: max_connections: want a whole number, not a table`},
		{`max_connections = 2020-01-01`, `1: max_connections: want a whole number, not 2020-01-01`},
		{`max_old_generations = 65`, `1: max_old_generations: at most 64, not 65`},
		{`crash_budget = 0`, `1: crash_budget: at least 1, not 0`},
		{`crash_budget = nan`, `1: crash_budget: want a number, not NaN`},
		{`access_sample = 0`, `1: access_sample: above 0, not 0`},
		{`access_sample = -0.5`, `1: access_sample: at least 0, not -0.5`},
		{`access_sample = 1.5`, `1: access_sample: at most 1, not 1.5`},
		{`access_sample = 0.5`, `1: access_sample: it is about the access log, and access_log is empty`},
		{"handler = \"http\"\n[access]\naccess_format = \"common\"", `3: access_format: it is about the access log, and access_log is empty`},
		{"access_log = \"-\"\n[access]\naccess_format = \"common\"", `3: access_format: common is for a handler that serves HTTP, which upper does not; json is for all`},
		{`pid_file = "a\u0000b"`, `1: pid_file: a NUL byte is in the string`},
		{"max_spare = 1\nmin_spare = 2", `1: max_spare: 1 is below min_spare, which is 2`},
		{"mode = \"forking\"\nmin_spare = 50", `2: min_spare: 50 is above max_children, which is 40`},
		{"mode = \"forking\"\nworkers = 50", `2: workers: 50 spare workers are above max_children, which is 40`},
		{"drain_timeout = \"1s\"\n[timeouts]\ndrain_timeout = \"2s\"", `3: drain_timeout is set twice, also on line 1`},
		{`[limits]` + "\n" + `mode = "forking"`, `2: mode does not belong in [limits]; it goes above the first table`},
		{`[limits]` + "\n" + `max_conections = 1`, `2: unknown key "max_conections" in [limits]; did you mean "max_connections"?`},
		{`[limitz]`, `1: unknown table [limitz]; did you mean "limits"?`},
		{`limits = 3`, `1: limits is a table: write [limits] and its keys below`},
		{`[[limits]]`, `1: limits is a table: write [limits] and its keys below`},
		{`max_line = 100`, `1: unknown key "max_line"; options of the handler upper go in [options]`},
		{"[options]\nmax_lin = 1", `2: unknown option "max_lin" of handler upper; did you mean "max_line"?`},
		{"[options]\nlog_level = \"info\"", `2: unknown option "log_level" of handler upper; the key log_level goes above the first table`},
		{"[options]\nprobation = \"1s\"", `2: unknown option "probation" of handler upper; the key probation goes in [reload]`},
		{"handler = \"echo\"\n[options]\nspeed = 1", `3: unknown option "speed" of handler echo; it has none`},
		{`"a.b" = 1`, `1: unknown key "a.b"`},
		{"mode = \"threading\"\nlimits = { max_children = 0 }", `2: max_children: at least 1, not 0`},
		{"[reload]\n\ntimeouts.read = 1", `3: unknown key "timeouts" in [reload]; did you mean "timeouts"?`},
	} {
		_, err := Parse("f", []byte(c.text), nil)
		if err == nil {
			t.Errorf("%q: no problem, want %s", c.text, c.want)
			continue
		}
		if got := strings.TrimPrefix(err.Error(), "f:"); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestAProblemOfAFlagNamesTheFlagAndIsAUsageError(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--handler", "uper"}, `--handler: unknown handler "uper"; did you mean "upper"?`},
		{[]string{"--option", "max_lin=1"}, `--option max_lin: unknown option "max_lin" of handler upper; did you mean "max_line"?`},
		{[]string{"--min-spare", "3", "--max-spare", "2"}, `--max-spare: 2 is below min_spare, which is 3`},
	} {
		_, err := Parse("f", []byte("log_level = \"warn\""), parseFlags(t, c.args...))
		var problems Problems
		if !errors.As(err, &problems) || err.Error() != c.want || !problems.Usage() {
			t.Errorf("%q: got %v, want %s", c.args, err, c.want)
		}
	}
	_, err := Parse("f", []byte("mode = 1"), parseFlags(t, "--handler", "uper"))
	var problems Problems
	if !errors.As(err, &problems) || problems.Usage() || len(problems) != 2 {
		t.Errorf("a problem of each: %v, want two of which one is the file's", err)
	}
}

func TestAFlagIsCheckedEvenIfTheFilesValueIsInvalid(t *testing.T) {
	_, err := Parse("f", []byte("min_spare = \"x\""), parseFlags(t, "--min-spare", "3", "--max-spare", "2"))
	want := "--max-spare: 2 is below min_spare, which is 3\nf:1: min_spare: want a whole number, not \"x\""
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// It would take minutes to find the lines of so many keys.
func TestAFileWithTooManyKeysIsRefused(t *testing.T) {
	var text strings.Builder
	for i := range maxKeys + 1 {
		fmt.Fprintf(&text, "key%d = 1\n", i)
	}
	if _, err := Parse("f", []byte(text.String()), nil); err == nil || err.Error() != "f:1: more than 1000 keys" {
		t.Errorf("got %v", err)
	}
}

func TestAFileThatCannotBeReadIsAProblem(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.toml")
	if err := os.WriteFile(big, []byte(strings.Repeat("#", maxFile+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty, blank := filepath.Join(dir, "empty.toml"), filepath.Join(dir, "blank.toml")
	write(t, empty, "")
	write(t, blank, "\ufeff \r\n\n")
	for _, c := range []struct{ file, want string }{
		{filepath.Join(dir, "none.toml"), "no such file or directory"},
		{dir, "not a regular file, which a reload could read again"},
		{empty, "is empty; for the defaults write a comment, such as # defaults"},
		{blank, "is empty; for the defaults write a comment, such as # defaults"},
		{"/dev/null", "not a regular file, which a reload could read again"},
		{big, "more than 1048576 bytes"},
	} {
		_, err := Load(c.file, nil)
		if err == nil || err.Error() != c.file+": "+c.want {
			t.Errorf("%s: got %v, want %s", c.file, err, c.want)
		}
	}
}

// beingWritten is a file that changes while it is read.
type beingWritten struct {
	*os.File
	write func() error
}

func (f beingWritten) Read(b []byte) (int, error) {
	if err := f.write(); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

func TestAFileThatChangesWhileItIsReadIsAProblem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	write(t, path, "workers = 1\n")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := readSteady(f); err != nil {
		t.Errorf("a file that does not change: %v", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	_, err = readSteady(beingWritten{f, func() error { return os.Truncate(path, 4) }})
	if err == nil || err.Error() != "was changed while it was read; try again" {
		t.Errorf("a file that is truncated meanwhile: %v", err)
	}
}
