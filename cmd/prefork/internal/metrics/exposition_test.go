package metrics

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"prefork"
	"prefork/master"
	"prefork/master/policy"
)

func TestPrometheusReadsEveryMetricAndItsLinterFindsNoFault(t *testing.T) {
	s, _ := full()
	text := written(Text, &s)
	families := parsed(t, text)
	kinds := map[Type]dto.MetricType{Counter: dto.MetricType_COUNTER, Gauge: dto.MetricType_GAUGE, Histogram: dto.MetricType_HISTOGRAM}
	for _, m := range Catalogue() {
		family := families[m.Name]
		if family == nil {
			t.Errorf("%s is missing", m.Name)
			continue
		}
		if family.GetType() != kinds[m.Type] || family.GetHelp() != m.Help {
			t.Errorf("%s is a %v, %q; want a %s, %q", m.Name, family.GetType(), family.GetHelp(), m.Type, m.Help)
		}
		for _, metric := range family.Metric {
			var labels []string
			for _, pair := range metric.Label {
				labels = append(labels, pair.GetName())
			}
			slices.Sort(labels)
			if want := slices.Sorted(slices.Values(m.Labels)); !slices.Equal(labels, want) {
				t.Errorf("%s has labels %v, want %v", m.Name, labels, want)
			}
		}
	}
	if len(families) != len(Catalogue()) {
		t.Errorf("%d families, want %d", len(families), len(Catalogue()))
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
}

func TestEveryFigureOfTheStatusIsShown(t *testing.T) {
	s, figures := full()
	shown := map[float64]bool{}
	for _, family := range parsed(t, written(Text, &s)) {
		for _, m := range family.Metric {
			shown[m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetHistogram().GetSampleSum()] = true
		}
	}
	// A pid and a setting are not metrics. The other figures of a worker are metrics of its
	// slot, which outlives the worker.
	elsewhere := regexp.MustCompile(`PID$|Slot$|GOMAXPROCS$|^Workers\.\d\.(Accepted|Handled|Failed|Answers|CPUS|BytesIn|BytesOut)$`)
	for _, path := range slices.Sorted(maps.Keys(figures)) {
		if !elsewhere.MatchString(path) && !shown[figures[path]] {
			t.Errorf("%s is not in the scrape", path)
		}
	}
}

func TestBucketsCountAllUpToTheirBound(t *testing.T) {
	s, _ := full()
	h := parsed(t, written(Text, &s))["prefork_handler_latency_seconds"].Metric[0].GetHistogram()
	var got []string
	for _, b := range h.Bucket {
		got = append(got, fmt.Sprintf("%g: %d", b.GetUpperBound(), b.GetCumulativeCount()))
	}
	if want := []string{"4e-06: 101", "0.5: 204", "1: 311", "+Inf: 420"}; !slices.Equal(got, want) || h.GetSampleCount() != 420 {
		t.Errorf("buckets %v of %d, want %v of 420", got, h.GetSampleCount(), want)
	}
}

func TestAnEmptyStatusIsAValidScrape(t *testing.T) {
	for _, f := range []Format{Text, OpenMetrics} {
		text := written(f, new(prefork.Status))
		if families := parsed(t, strings.TrimSuffix(text, "# EOF\n")); len(families) < 15 {
			t.Errorf("%d families in:\n%s", len(families), text)
		}
	}
}

func TestNoSeriesIsWrittenTwiceAndNoTextBreaksTheLines(t *testing.T) {
	s, _ := full()
	nasty := "a\"b\\c\nd\xffe{}"
	s.Version = nasty
	s.Listeners = []master.ListenerRow{{Name: nasty, Address: "1"}, {Name: nasty, Address: "1"}, {Name: nasty, Address: "2"}}
	text := written(Text, &s)
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if series := line[:strings.LastIndexByte(line, ' ')]; line[0] != '#' {
			if seen[series] {
				t.Errorf("%s appears twice", series)
			}
			seen[series] = true
		}
	}
	families := parsed(t, text)
	queues := families["prefork_listener_queue_length"].Metric
	if len(queues) != 2 {
		t.Errorf("queues %v, want 2", queues)
	}
	want := strings.ToValidUTF8(nasty, "\uFFFD")
	for _, pair := range slices.Concat(queues[0].Label, families["prefork_build_info"].Metric[0].Label) {
		if name := pair.GetName(); name != "address" && name != "goversion" && pair.GetValue() != want {
			t.Errorf("%s = %q, want %q", name, pair.GetValue(), want)
		}
	}
}

// Both formats have the same samples. OpenMetrics has additional rules.
func TestOpenMetricsIsTheSameWithItsOwnRules(t *testing.T) {
	s, _ := full()
	samples := func(text string) (lines []string) {
		for line := range strings.Lines(text) {
			if line[0] != '#' {
				lines = append(lines, line)
			}
		}
		return lines
	}
	text, open := written(Text, &s), written(OpenMetrics, &s)
	if a, b := samples(text), samples(open); !slices.Equal(a, b) {
		t.Errorf("the samples differ:\n%s\n%s", a, b)
	}
	if !strings.HasSuffix(open, "\n# EOF\n") || strings.Count(open, "# EOF") != 1 || strings.Contains(text, "# EOF") {
		t.Errorf("want one # EOF at the end:\n%s", open)
	}
	head := regexp.MustCompile(`^# (HELP|TYPE|UNIT) ([a-z_]+) (.+)\n$`)
	for line := range strings.Lines(open) {
		m := head.FindStringSubmatch(line)
		switch {
		case line[0] != '#' || line == "# EOF\n":
		case m == nil:
			t.Errorf("line %q is invalid", line)
		case strings.HasSuffix(m[2], "_total"):
			t.Errorf("%q: the name of a counter family must not have _total", line)
		case m[1] == "UNIT" && !strings.HasSuffix(m[2], "_"+m[3]):
			t.Errorf("%q: the name must end with its unit", line)
		}
	}
	if !strings.Contains(open, "# UNIT prefork_cpu_seconds seconds\n") || !strings.Contains(open, `le="1.0"`) {
		t.Errorf("want units, and bounds that are floats:\n%s", open)
	}
}

func TestStatesAreThePolicysWords(t *testing.T) {
	var got []string
	for s := policy.State(0); !strings.HasPrefix(s.String(), "state("); s++ {
		got = append(got, s.String())
	}
	if !slices.Equal(got, States()) {
		t.Errorf("states %q, the policy's are %q", States(), got)
	}
	got = nil
	for s := policy.WorkerState(0); s != policy.WorkerGone; s++ {
		got = append(got, s.String())
	}
	if !slices.Equal(got, WorkerStates()) {
		t.Errorf("states of workers %q, the policy's are %q", WorkerStates(), got)
	}
}

func TestTheTargetIsReadInAllItsForms(t *testing.T) {
	for target, want := range map[string]string{"4": "min 4 max 4 ", "2-8": "min 2 max 8 ", "6 spare": "min 6 ", "": ""} {
		got := ""
		collectTarget(&prefork.Status{Target: target}, func(v float64, labels ...string) { got += fmt.Sprint(labels[0], " ", v, " ") })
		if got != want {
			t.Errorf("target %q: %q, want %q", target, got, want)
		}
	}
}

func TestOpenMetricsIsSentOnlyOnRequest(t *testing.T) {
	prometheus := "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
	for accept, want := range map[string]Format{
		"":                             Text,
		"*/*":                          Text,
		prometheus:                     OpenMetrics,
		"application/openmetrics-text": OpenMetrics,
		"application/openmetrics-text; version=2.0.0":                      Text,
		"application/openmetrics-text;q=0.1,text/plain;q=0.9":              Text,
		"application/openmetrics-text;version=1.0.0;q=0":                   Text,
		"application/vnd.google.protobuf, application/json;q=nonsense, ;;": Text,
	} {
		if got := Negotiate([]string{accept}); got != want {
			t.Errorf("Accept: %s: %v, want %v", accept, got, want)
		}
	}
}

// A scrape has some twenty lines for each worker.
func TestALabelWithoutSpecialCharactersCostsNothing(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() { escapeLabel("255") }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}
