package loadreport

import (
	"bytes"
	"strings"
	"testing"

	"prefork/internal/golden"
	"prefork/internal/load"
)

func compared(t *testing.T, a, b *load.Result) string {
	t.Helper()
	var out bytes.Buffer
	if err := Compare(&out, a, b, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheComparisonStaysAsItWas(t *testing.T) {
	a, b := aRun(10), aRun(10)
	b.Plan.Connections, b.Plan.Rate, b.Plan.Payload = 128, "", "1 KiB"
	b.RequestsPS *= 1.2
	b.Corrected = latency(100000, 19000, 0)
	b.Correction = "expected interval 1.2ms"
	b.Errors = map[load.Class]uint64{load.Refused: 3, load.Timeout: 1}
	b.Server = nil
	b.Generator.Warnings = []string{"the generator was the limit"}
	golden.Check(t, "testdata/compare.txt", compared(t, a, b))
}

func TestEqualPlansAreComparedWithoutANotice(t *testing.T) {
	a, b := aRun(10), aRun(10)
	a.Correction, b.Correction = "expected interval 1.2ms", "expected interval 1.3ms"
	if text := compared(t, a, b); strings.Contains(text, "doubtful") {
		t.Errorf("equal plans are called doubtful:\n%s", text)
	}
}

func TestEveryDifferenceOfThePlansIsNamed(t *testing.T) {
	for name, change := range map[string]func(*load.Plan){
		"mode (":        func(p *load.Plan) { p.Mode = "churn" },
		"connections (": func(p *load.Plan) { p.Connections = 1 },
		"pipeline (":    func(p *load.Plan) { p.Pipeline = 16 },
		"rate (":        func(p *load.Plan) { p.Rate = "" },
		"duration (":    func(p *load.Plan) { p.DurationS = 1 },
		"limit (":       func(p *load.Plan) { p.Limit = 1 },
		"warm-up (":     func(p *load.Plan) { p.WarmupS = 0 },
		"timeout (":     func(p *load.Plan) { p.TimeoutS = 1 },
		"loops (":       func(p *load.Plan) { p.Loops = 1 },
		"payload (":     func(p *load.Plan) { p.Payload = "" },
		"expectation (": func(p *load.Plan) { p.Expect = "upper" },
	} {
		b := aRun(10)
		change(&b.Plan)
		if text := compared(t, aRun(10), b); !strings.Contains(text, "doubtful   the runs differ in "+name) {
			t.Errorf("%s is not reported:\n%s", name, text)
		}
	}
}
