package loadreport

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prefork/internal/load"
)

func plotted(t *testing.T, name string, r *load.Result) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := Plot(path, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// elements parses XML and returns the names of its elements and its text.
func elements(t *testing.T, text string) (names map[string]int, words string) {
	t.Helper()
	names = map[string]int{}
	var b strings.Builder
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names, b.String()
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			names[token.Name.Local]++
		case xml.CharData:
			b.Write(token)
		}
	}
}

func TestTheDrawingIsWellFormedAndHasEveryMark(t *testing.T) {
	many := aRun(300)
	for i := range 60 {
		many.Marks = append(many.Marks, load.Mark{AtS: float64(i) * 4, Kind: "reload", Text: fmt.Sprint("generation <", i, ">")})
	}
	empty := &load.Result{Version: 1, Plan: load.Plan{Mode: "idle"}}
	refused := aRun(3)
	refused.Corrected, refused.Uncorrected = load.Latency{}, load.Latency{}
	for i := range refused.Series {
		refused.Series[i] = load.Second{AtS: float64(i), Errors: 9}
	}
	single := aRun(1)
	single.Corrected, single.Uncorrected = oneLatency(1000), oneLatency(1000)
	for name, r := range map[string]*load.Result{"run": aRun(10), "hostile": hostileRun(), "many": many, "empty": empty, "refused": refused, "single": single} {
		text := plotted(t, "x.svg", r)
		names, words := elements(t, text)
		if names["svg"] != 1 || names["script"] != 0 || names["image"] != 0 {
			t.Errorf("%s: elements %v", name, names)
		}
		for _, m := range r.Marks {
			if !strings.Contains(words, markText(m, 300)) {
				t.Errorf("%s: no mark %q", name, m.Text)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s: a coordinate is no number", name)
		}
	}
}

func TestForeignTextIsEscapedInThePage(t *testing.T) {
	text := plotted(t, "x.html", hostileRun())
	if strings.Contains(text, "<script") || strings.Contains(text, "</text><") || strings.ContainsAny(text, "\x1b\x00") {
		t.Error("foreign text became markup")
	}
	if !strings.Contains(text, html.EscapeString(clean(hostile, 100))) {
		t.Error("the mark is not there, escaped")
	}
}

func TestThePageNeedsNothingElse(t *testing.T) {
	r := aRun(10)
	r.Target = "tcp://:1"
	for _, name := range []string{"x.svg", "x.html"} {
		text := strings.ReplaceAll(plotted(t, name, r), `xmlns="http://www.w3.org/2000/svg"`, "")
		for _, forbidden := range []string{"http:", "https:", "url(", "src=", "href=", "@import", "<script"} {
			if strings.Contains(text, forbidden) {
				t.Errorf("%s holds %q", name, forbidden)
			}
		}
	}
	if text := plotted(t, "x.html", r); !strings.Contains(text, "prefers-color-scheme:dark") {
		t.Error("the page has no dark side")
	}
}

func TestADayIsDrawnWithFewPoints(t *testing.T) {
	r := aRun(86400)
	for i := range 5000 {
		r.Marks = append(r.Marks, load.Mark{AtS: float64(i), Kind: "reload", Text: "x"})
	}
	if n := len(plotted(t, "x.svg", r)); n > 200<<10 {
		t.Errorf("the drawing has %d bytes", n)
	}
}

func TestValuesOutOfAllBoundsAreDrawnAtTheEdge(t *testing.T) {
	r := aRun(3)
	r.Corrected.MaxS, r.Corrected.MinS, r.Uncorrected.MaxS = 1e300, 1e-300, 1e308
	r.Series[0].P99S, r.Series[1].P99S, r.Series[2].AtS, r.ElapsedS = 1e308, 1e-308, 1e308, 1e300
	r.Marks[0].AtS = -1e308
	text := plotted(t, "x.svg", r)
	elements(t, text)
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a coordinate is no number")
	}
}

func TestAPlotReplacesTheFileWholeOrLeavesItAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run.SVG")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := aRun(3)
	broken.Corrected = load.Latency{Count: 1}
	if err := Plot(path, broken); err == nil {
		t.Error("a broken result was drawn")
	}
	if text, _ := os.ReadFile(path); string(text) != "old" {
		t.Errorf("a plot that failed left %q", text)
	}
	if err := Plot(path, aRun(3)); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); !strings.HasSuffix(string(text), "</svg>\n") {
		t.Errorf("the file holds %.40q", text)
	}
	// A directory at the path makes the rename fail after the temporary file was
	// written.
	if err := os.Mkdir(filepath.Join(dir, "d.html"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Plot(filepath.Join(dir, "d.html"), aRun(3)); err == nil {
		t.Error("a directory was replaced")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("files were left beside: %v", entries)
	}
}

func TestAnUnknownExtensionIsRefused(t *testing.T) {
	for _, name := range []string{"x.png", "x", ".svgz"} {
		path := filepath.Join(t.TempDir(), name)
		if err := Plot(path, aRun(3)); err == nil || !strings.Contains(err.Error(), "must end in .svg or .html") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}
