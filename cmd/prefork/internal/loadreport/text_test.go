package loadreport

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"prefork/internal/golden"
	"prefork/internal/load"
)

func textOf(t *testing.T, r *load.Result, o TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := Text(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheReportOfARunStaysAsItWas(t *testing.T) {
	golden.Check(t, "testdata/run.txt", textOf(t, aRun(10), TextOptions{}))
}

func TestTheReportOfALongRunIsGatheredIntoFewRows(t *testing.T) {
	r := aRun(3600)
	for i := range 500 {
		r.Marks = append(r.Marks, load.Mark{AtS: float64(i), Kind: "reload", Text: fmt.Sprint("generation ", i)})
	}
	r.Generator.Warnings = []string{"the busiest loop was 98 % busy: the generator is the limit", "12 requests were due and never sent"}
	text := textOf(t, r, TextOptions{Color: true, Width: 100})
	golden.Check(t, "testdata/long.txt", text)
	if n := strings.Count(text, "\n"); n > 100 {
		t.Errorf("%d lines, want no more than 100", n)
	}
}

func TestWarningsAreFirst(t *testing.T) {
	r := aRun(10)
	r.Generator.Warnings = []string{"the generator was the limit"}
	if text := textOf(t, r, TextOptions{}); !strings.HasPrefix(text, "warning    the generator was the limit\n") {
		t.Errorf("the report begins with\n%.200s", text)
	}
}

func TestARunWithoutAnAnswerHasAReport(t *testing.T) {
	r := &load.Result{Version: 1, Target: "unix:///run/x.sock", Plan: load.Plan{Mode: "exchange", Connections: 1},
		ElapsedS: 2, Errors: map[load.Class]uint64{load.Refused: 12},
		Series: []load.Second{{AtS: 0, Errors: 6}, {AtS: 1, Errors: 6}}}
	text := textOf(t, r, TextOptions{})
	golden.Check(t, "testdata/refused.txt", text)
	if strings.Contains(text, "NaN") || strings.Contains(text, "LATENCY") {
		t.Errorf("the report has latencies without answers:\n%s", text)
	}
}

func TestFailuresAreShownInWords(t *testing.T) {
	r := aRun(10)
	for i := range 20 {
		r.Examples = append(r.Examples, fmt.Sprintf("reset: connection %d: %s", i, hostile))
	}
	text := textOf(t, r, TextOptions{})
	if !strings.Contains(text, "connection 0:") || strings.Contains(text, "connection 12:") || strings.Contains(text, "\x1b") {
		t.Errorf("want only the first examples, with escaped characters:\n%s", text)
	}
}

func TestAnIdleRunSaysHowManyConnectionsWereOpen(t *testing.T) {
	r := &load.Result{Version: 1, Target: "tcp://127.0.0.1:9999", Plan: load.Plan{Mode: "idle", Connections: 200, DurationS: 2},
		ElapsedS: 2, Connections: 200, Standing: 190, Errors: map[load.Class]uint64{load.EOF: 10}}
	text := textOf(t, r, TextOptions{})
	if !strings.Contains(text, "200 connections, 190 stood when the time was over") || strings.Contains(text, "requests") {
		t.Errorf("the report is\n%s", text)
	}
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	for _, width := range []int{60, 80, 120} {
		r := aRun(10)
		r.Target, r.Plan.Rate = "tcp://:1", "1/s"
		r.Marks[0].Text = strings.Repeat("very long ", 50)
		r.Generator.Warnings = []string{strings.Repeat("very long ", 20)}
		for i, line := range strings.Split(textOf(t, r, TextOptions{Width: width}), "\n") {
			if n := utf8.RuneCountInString(line); n > width && !strings.HasPrefix(line, "tcp:") {
				t.Errorf("width %d: line %d has %d characters: %s", width, i+1, n, line)
			}
		}
	}
}

func TestForeignTextCannotControlTheTerminal(t *testing.T) {
	r := hostileRun()
	var compared bytes.Buffer
	if err := Compare(&compared, r, aRun(10), TextOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{textOf(t, r, TextOptions{}), compared.String()} {
		if strings.ContainsAny(text, "\x1b\x00\u202e") || !utf8.ValidString(text) {
			t.Errorf("control characters in\n%q", text)
		}
	}
}

func TestColoursAreOffByDefault(t *testing.T) {
	if text := textOf(t, aRun(10), TextOptions{}); strings.Contains(text, "\x1b") {
		t.Error("colours without Color")
	}
	plain, colored := textOf(t, aRun(10), TextOptions{}), textOf(t, aRun(10), TextOptions{Color: true})
	for _, sgr := range []string{"0", "1", "2", "31", "32", "33"} {
		colored = strings.ReplaceAll(colored, "\x1b["+sgr+"m", "")
	}
	if plain != colored {
		t.Errorf("colours move the columns:\n%s", colored)
	}
}

func TestTheBarsHoldEveryRequest(t *testing.T) {
	r := aRun(10)
	bars, err := barsOf(&r.Corrected)
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for i, b := range bars {
		n += b.count
		if b.from >= b.to || i > 0 && b.from != bars[i-1].to {
			t.Errorf("bar %d reaches from %v to %v", i, b.from, b.to)
		}
	}
	if n != r.Corrected.Count || len(bars) > mostBars {
		t.Errorf("%d bars hold %d of %d requests", len(bars), n, r.Corrected.Count)
	}
}

func TestASingleLatencyHasABar(t *testing.T) {
	for _, middle := range []int{1, 999, 1000, 123456789, 3600e9} {
		l := oneLatency(int64(middle))
		bars, err := barsOf(&l)
		if err != nil || len(bars) == 0 {
			t.Errorf("%d ns: %d bars, %v", middle, len(bars), err)
		}
	}
}

func TestAShortLastSecondHasNoRowOfItsOwn(t *testing.T) {
	r := aRun(10)
	r.ElapsedS = 10.01
	r.Series = append(r.Series, load.Second{AtS: 10, Requests: 20, Errors: 1, MaxS: 3})
	rows := rowsOf(r, 20)
	last := rows[len(rows)-1]
	if len(rows) != 10 || last.max != 3 || last.errors != 1 || last.rate() < 1990 || last.rate() > 2010 {
		t.Errorf("%d rows, the last is %+v with a rate of %v", len(rows), last, last.rate())
	}
}

func TestNoMarkIsLost(t *testing.T) {
	r := aRun(100)
	r.Marks = append(r.Marks, load.Mark{AtS: -1}, load.Mark{AtS: 1000}, load.Mark{AtS: 50})
	n := 0
	for _, row := range rowsOf(r, 20) {
		n += len(row.marks)
	}
	if n != len(r.Marks) {
		t.Errorf("%d of %d marks", n, len(r.Marks))
	}
}

func TestLongTextIsCut(t *testing.T) {
	for _, c := range []struct {
		text, want string
		most       int
	}{{"abc", "abc", 3}, {"abcd", "ab…", 3}, {"µµµ", "µµµ", 3}, {"a\nb", "a b", 9}, {"a\x1bb", "a\ufffdb", 9}, {"", "", 3}} {
		if got := clean(c.text, c.most); got != c.want {
			t.Errorf("clean(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// full is a writer that always fails.
type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAWriterThatFailsIsReported(t *testing.T) {
	r := aRun(10)
	for name, err := range map[string]error{
		"Text": Text(full{}, r, TextOptions{}), "CSV": CSV(full{}, r), "Hgrm": Hgrm(full{}, r), "Compare": Compare(full{}, r, r, TextOptions{}),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v, want that the writer is full", name, err)
		}
	}
}
