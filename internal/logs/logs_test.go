package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

func TestAnUnknownFormatOrLevelNamesTheValidOnes(t *testing.T) {
	for _, test := range []struct{ format, level, want string }{
		{"xml", "info", `unknown log format "xml": want auto, console or json`},
		{"JSON", "info", `unknown log format "JSON": want auto, console or json`},
		{"json", "loud", `unknown log level "loud": want debug, info, warn or error`},
		{"json", "fatal", `unknown log level "fatal": want debug, info, warn or error`},
	} {
		log, _, err := New(test.format, test.level, os.Stderr)
		if err == nil || err.Error() != test.want || log != nil {
			t.Errorf("%s, %s: %v, want %s", test.format, test.level, err, test.want)
		}
	}
}

func TestEveryFormatAndLevelThatIsListedWorks(t *testing.T) {
	f, _ := file(t)
	for _, format := range append(Formats(), "") {
		for _, level := range append(Levels(), "") {
			log, atom, err := New(format, level, f)
			if err != nil {
				t.Errorf("%q, %q: %v", format, level, err)
				continue
			}
			if want := max(level, "info"); level == "" && atom.String() != want || level != "" && atom.String() != level {
				t.Errorf("level %q is %s", level, atom)
			}
			if zapcore.LevelOf(log.Core()) != atom.Level() {
				t.Errorf("the core's level is %s, want %s", zapcore.LevelOf(log.Core()), atom)
			}
		}
	}
}

func TestALogNeedsAnOpenFile(t *testing.T) {
	f, _ := file(t)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{nil, f} {
		if log, _, err := New(JSON, "info", f); err == nil || log != nil {
			t.Errorf("made a log of %v", f)
		}
	}
}

func TestJSONLinesHaveTimeLevelMessageAndFields(t *testing.T) {
	got := lines(t, JSON, func(log *zap.Logger) {
		log.With(zap.String("role", "worker"), zap.Duration("age", 90*time.Second)).Warn("worker slow",
			zap.Int("slot", 2), zap.Duration("backoff", 1500*time.Microsecond), zap.Duration("x_s", time.Second),
			zap.Error(errors.New("no\nroom")))
	})
	want := `{"level":"warn","ts":"2026-07-01T12:00:00.123456Z","msg":"worker slow",` +
		`"role":"worker","age_s":90,"slot":2,"backoff_s":0.0015,"x_s":1,"error":"no\nroom"}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestTheFieldsOfACallerAreNotChanged(t *testing.T) {
	fields := []zapcore.Field{zap.Duration("backoff", time.Second)}
	lines(t, JSON, func(log *zap.Logger) { log.Info("m", fields...) })
	if fields[0].Key != "backoff" || fields[0].Type != zapcore.DurationType {
		t.Errorf("the field is now %+v", fields[0])
	}
}

func TestTheLevelCanBeChangedWhileRunning(t *testing.T) {
	f, text := file(t)
	log, atom := open(t, JSON, "warn", f)
	child := log.With(zap.Int("slot", 1))
	child.Info("one")
	atom.SetLevel(zapcore.DebugLevel)
	child.Debug("two")
	atom.SetLevel(zapcore.ErrorLevel)
	child.Warn("three")
	if got := text(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"two"`) {
		t.Errorf("logged %s", got)
	}
}

func TestAutoIsJSONIntoAFile(t *testing.T) {
	if got := lines(t, Auto, func(log *zap.Logger) { log.Info("m") }); !strings.HasPrefix(got, "{") {
		t.Errorf("logged %s", got)
	}
}

func TestAutoIsForPeopleOnATerminal(t *testing.T) {
	for _, test := range []struct {
		name, format, variable, value string
		colour                        bool
	}{
		{name: "plain", format: Auto, colour: true},
		{name: "console", format: Console, colour: true},
		{name: "NO_COLOR", format: Auto, variable: "NO_COLOR", value: "1"},
		{name: "empty NO_COLOR", format: Auto, variable: "NO_COLOR", colour: true},
		{name: "dumb", format: Auto, variable: "TERM", value: "dumb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.variable != "" {
				t.Setenv(test.variable, test.value)
			}
			master, slave := terminal(t)
			log, _ := open(t, test.format, "info", slave)
			log.Info("worker ready", zap.Int("slot", 2))
			got := readLine(t, master)
			if strings.HasPrefix(got, "{") || !strings.Contains(got, "worker ready") {
				t.Errorf("logged %q", got)
			}
			if strings.Contains(got, "\x1b[") != test.colour {
				t.Errorf("logged %q, want colour %t", got, test.colour)
			}
		})
	}
}

func TestConsoleIntoAFileHasNoColour(t *testing.T) {
	if got := lines(t, Console, func(log *zap.Logger) { log.Error("m", zap.Int("a", 1)) }); strings.Contains(got, "\x1b") {
		t.Errorf("logged %q", got)
	}
}

func TestTheJournalGetsPriorities(t *testing.T) {
	f, text := file(t)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(f.Name(), &stat); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	log, _ := open(t, Auto, "debug", f)
	log = log.With(zap.Duration("age", time.Second))
	log.Debug("d")
	log.Info("i")
	log.Warn("w")
	log.Error("e")
	log.DPanic("p")
	var got strings.Builder
	for line := range strings.Lines(text()) {
		prefix, object, _ := strings.Cut(line, "{")
		got.WriteString(prefix)
		if !json.Valid([]byte("{" + object)) {
			t.Errorf("%q is no JSON behind its priority", line)
		}
	}
	if got.String() != "<7><6><4><3><2>" {
		t.Errorf("%s: priorities %s", info.Name(), &got)
	}
}

func TestOnlyTheJournalGetsPriorities(t *testing.T) {
	f, text := file(t)
	var stat unix.Stat_t
	if err := unix.Stat(f.Name(), &stat); err != nil {
		t.Fatal(err)
	}
	right := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	for _, test := range []struct{ format, stream string }{
		{Auto, ""},
		{Auto, "x"},
		{Auto, ":"},
		{Auto, "x:y"},
		{Auto, right + "0"},
		{Auto, right + " "},
		{Auto, "0" + right[strings.Index(right, ":"):]},
		{JSON, right},
		{Console, right},
	} {
		before := len(text())
		t.Setenv("JOURNAL_STREAM", test.stream)
		log, _ := open(t, test.format, "info", f)
		log.Info("m")
		if got := text()[before:]; got == "" || got[0] == '<' {
			t.Errorf("%s with JOURNAL_STREAM=%q: logged %q", test.format, test.stream, got)
		}
	}
}

func TestManyGoroutinesWriteWholeLines(t *testing.T) {
	f, text := file(t)
	log, _ := open(t, JSON, "info", f)
	const goroutines, each = 8, 50
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			child := log.With(zap.Int("slot", g))
			for i := range each {
				child.Info("m", zap.Int("i", i), zap.String("pad", strings.Repeat("x", 100*i)))
			}
		})
	}
	wg.Wait()
	n := 0
	for line := range strings.Lines(text()) {
		n++
		if !json.Valid([]byte(line)) {
			t.Errorf("mixed line %q", line)
		}
	}
	if n != goroutines*each {
		t.Errorf("%d lines, want %d", n, goroutines*each)
	}
}

func BenchmarkNew(b *testing.B) {
	f, _ := file(b)
	for b.Loop() {
		if _, _, err := New(Auto, "info", f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	for _, format := range []string{JSON, Console} {
		b.Run(format, func(b *testing.B) {
			log, _, err := New(format, "info", null)
			if err != nil {
				b.Fatal(err)
			}
			log = log.With(zap.String("role", "worker"), zap.Int("slot", 1))
			b.ReportAllocs()
			for b.Loop() {
				log.Info("connection failed", zap.String("remote", "127.0.0.1:1"), zap.Duration("duration", time.Second))
			}
		})
	}
}
