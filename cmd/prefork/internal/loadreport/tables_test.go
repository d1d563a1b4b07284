package loadreport

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"prefork/internal/golden"
	"prefork/internal/load"
)

func oneLatency(ns int64) load.Latency {
	h := hdrhistogram.New(1, 3600e9, 3)
	_ = h.RecordValue(ns)
	return load.NewLatency(h)
}

func TestTheSeriesAsCSVStaysAsItWas(t *testing.T) {
	var b bytes.Buffer
	if err := CSV(&b, aRun(10)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/run.csv", b.String())
}

func TestTheCSVIsReadBackWithEveryMark(t *testing.T) {
	var b bytes.Buffer
	r := hostileRun()
	r.Marks = append(r.Marks, load.Mark{AtS: 4, Kind: "other", Text: "=1+1,\"x\"\n2"})
	if err := CSV(&b, r); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != len(r.Series)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	if got, want := lines[5][9], `4.000 other: =1+1,"x" 2`; got != want {
		t.Errorf("the mark is %q, want %q", got, want)
	}
}

func TestThePercentilesForPlottersStayAsTheyWere(t *testing.T) {
	var b bytes.Buffer
	if err := Hgrm(&b, aRun(10)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/run.hgrm", b.String())
}

// The Go library prints the same table with fewer digits.
func TestThePercentilesAreThoseOfTheLibrary(t *testing.T) {
	r := aRun(10)
	var ours, theirs bytes.Buffer
	if err := Hgrm(&ours, r); err != nil {
		t.Fatal(err)
	}
	h, err := r.Corrected.Hist()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.PercentilesPrint(&theirs, ticksPerHalf, 1e6); err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(ours.String(), "\n"), strings.Split(theirs.String(), "\n")
	if len(a) != len(b) {
		t.Fatalf("%d lines, the library has %d", len(a), len(b))
	}
	for i := 2; i < len(a); i++ {
		if strings.HasPrefix(b[i], "#") {
			if a[i] != b[i] {
				t.Errorf("line %d is %q, the library's %q", i, a[i], b[i])
			}
			continue
		}
		x, y := strings.Fields(a[i]), strings.Fields(b[i])
		for j := range min(len(x), 3) {
			p, _ := strconv.ParseFloat(x[j], 64)
			q, _ := strconv.ParseFloat(y[j], 64)
			if p-q > 1e-6 || q-p > 1e-6 {
				t.Errorf("line %d is %q, the library's %q", i, a[i], b[i])
			}
		}
	}
}

func TestAResultWithoutAHistogramIsAnErrorNotATable(t *testing.T) {
	r := aRun(10)
	r.Corrected = load.Latency{Count: 1, Histogram: "garbage"}
	var b bytes.Buffer
	if err := Hgrm(&b, r); err == nil {
		t.Error("Hgrm accepted an invalid histogram")
	}
	if err := Text(&b, r, TextOptions{}); err == nil {
		t.Error("Text accepted an invalid histogram")
	}
}
