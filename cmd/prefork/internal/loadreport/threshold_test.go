package loadreport

import (
	"strings"
	"testing"

	"prefork/internal/load"
)

func TestAThresholdFailsTheRunThatCrossesIt(t *testing.T) {
	r := aRun(10) // p99 80ms corrected, 198 µs uncorrected; 2 errors of 18995; 1899/s; 6.32 µs
	for _, c := range []struct {
		expr string
		why  string // empty: the run passes
	}{
		{"p99>5ms", "p99>5ms: p99 is 80ms"},
		{"p99>90ms", ""},
		{"p99<1s", "p99<1s: p99 is 80ms"},
		{" p99.9 >= 20ms ", "p99.9>=20ms: p99.9 is 98ms"},
		{"p97.5>49ms", "p97.5>49ms: p97.5 is 49.9ms"},
		{"p97.5>51ms", ""},
		{"p100>1ms", "p100>1ms: p100 is 100ms"},
		{"max>1s", ""},
		{"mean>2ms", "mean>2ms: mean is 2.57ms"},
		{"min<=1us", ""},
		{"uncorrected.p99>5ms", ""},
		{"uncorrected.p99>100us", "uncorrected.p99>100us: uncorrected.p99 is 198µs"},
		{"uncorrected.mean>10ms", ""},
		{"errors>0", "errors>0: errors is 2"},
		{"errors>2", ""},
		{"errors>=2", "errors>=2: errors is 2"},
		{"error_rate>0.1%", ""},
		{"error_rate>0.01%", "error_rate>0.01%: error_rate is 0.011 %"},
		{"error_rate>0.0001", "error_rate>0.0001: error_rate is 0.011 %"},
		{"rate<1000", ""},
		{"rate<2000", "rate<2000: rate is 1899/s"},
		{"requests<20000", "requests<20000: requests is 18993"},
		{"cpu_per_request>20us", ""},
		{"cpu_per_request>6µs", "cpu_per_request>6µs: cpu_per_request is 6.32µs"},
		{"refused>0", ""},
		{"reset>0", "reset>0: reset is 1"},
	} {
		th, err := ParseThreshold(c.expr)
		if err != nil {
			t.Error(err)
			continue
		}
		if failed, why := th.Check(r); failed != (c.why != "") || why != c.why {
			t.Errorf("%s: failed %v, %q, want %q", c.expr, failed, why, c.why)
		}
	}
}

func TestEveryClassOfErrorsHasAThreshold(t *testing.T) {
	for _, class := range load.Classes() {
		th, err := ParseThreshold(string(class) + ">0")
		if err != nil {
			t.Fatal(err)
		}
		r := aRun(10)
		r.Errors = map[load.Class]uint64{class: 1}
		if failed, _ := th.Check(r); !failed {
			t.Errorf("%s: the run passes with one", th)
		}
	}
}

func TestAFigureThatWasNotMeasuredFailsTheRun(t *testing.T) {
	nothing := &load.Result{Version: 1}
	for expr, want := range map[string]string{
		"p99>5ms":             "no request was answered",
		"uncorrected.max>1h":  "no request was answered",
		"cpu_per_request>1ms": "the server's CPU was not measured",
	} {
		th, err := ParseThreshold(expr)
		if err != nil {
			t.Fatal(err)
		}
		if failed, why := th.Check(nothing); !failed || !strings.Contains(why, want) {
			t.Errorf("%s: failed %v, %q, want %q", expr, failed, why, want)
		}
	}
	if failed, _ := (Threshold{}).Check(nothing); !failed {
		t.Error("the zero threshold lets a run pass")
	}
}

func TestAnInvalidExpressionIsExplained(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{"", "want NAME>VALUE"},
		{"p99", "want NAME>VALUE"},
		{"p99=5ms", "want NAME>VALUE"},
		{">5ms", `unknown name ""`},
		{"p99>", `"" is not a duration`},
		{"p99>5", `"5" is not a duration such as 5ms`},
		{"p99>-5ms", "is not a duration"},
		{"p99>>5ms", "is not a duration"},
		{"errors>many", `"many" is not a number`},
		{"errors>-1", "is not a number"},
		{"errors>inf", "is not a number"},
		{"errors>0x1", "is not a number"},
		{"rate<5ms", "is not a number"},
		{"error_rate>1%%", "is not a number"},
		{"p0>1ms", `unknown name "p0"`},
		{"p101>1ms", `unknown name "p101"; did you mean "p10.1"?`},
		{"p999>5ms", `unknown name "p999"; did you mean "p99.9"?`},
		{"p9999>5ms", `unknown name "p9999"; did you mean "p99.99"?`},
		{"eror_rate>1%", `unknown name "eror_rate"; did you mean "error_rate"? (the names are p50, p75,`},
		{"refusd>0", `did you mean "refused"?`},
		{"uncorrected.rate>0", `unknown name "uncorrected.rate"`},
		{"p99>" + strings.Repeat("9", 1000), "longer than 100 characters"},
	} {
		_, err := ParseThreshold(c.expr)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %q", c.expr, err, c.want)
		}
	}
}

// A threshold that parses prints as text that parses to the same, and can be
// checked.
func FuzzParseThreshold(f *testing.F) {
	for _, seed := range []string{"p99>5ms", "p99.9 >= 20ms", "error_rate>0.1%", "rate<1000", "uncorrected.p99>5ms", "refused>0", "p<=", "\xff>1", "p1e1>1s"} {
		f.Add(seed)
	}
	run := aRun(2)
	f.Fuzz(func(t *testing.T, expr string) {
		th, err := ParseThreshold(expr)
		if err != nil {
			return
		}
		again, err := ParseThreshold(th.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", expr, th, err)
		}
		if again.String() != th.String() || again.value != th.value || again.op != th.op {
			t.Fatalf("%q prints as %q, which is %+v, not %+v", expr, th, again, th)
		}
		a, _ := th.Check(run)
		b, _ := again.Check(run)
		if a != b {
			t.Fatalf("%q and %q disagree about a run", expr, th)
		}
	})
}
