package metrics

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"prefork"
	"prefork/master"
)

// full returns a status in which every figure is unique, and the figures by the
// path of their field.
func full() (prefork.Status, map[string]float64) {
	at := time.Unix(1_700_000_000, 0)
	s := prefork.Status{
		Version: "1.2.3", State: "running", Target: "31-37",
		Listeners:      []master.ListenerRow{{Name: "tcp://:80", Address: "[::]:80"}, {Name: "unix:///s", Address: "/s"}},
		Workers:        []master.WorkerRow{{State: "busy"}, {State: "draining"}},
		Slots:          []master.SlotRow{{}, {}},
		LastReload:     master.LastReload{OK: true, At: &at},
		HandlerLatency: master.Histogram{BoundsS: []float64{4e-06, 0.5, 1}, Counts: []uint64{101, 103, 107, 109}},
		ConnectionAge:  master.Histogram{BoundsS: []float64{4e-06, 0.5, 1}, Counts: []uint64{113, 127, 131, 137}},
	}
	figures := map[string]float64{}
	next := 1000.0
	fill(reflect.ValueOf(&s).Elem(), "", &next, figures)
	s.Listeners[1].Queued = -1
	delete(figures, "Listeners.1.Queued")
	return s, figures
}

// fill sets each number that is 0 to a unique value.
func fill(v reflect.Value, path string, next *float64, figures map[string]float64) {
	set := func(f func(float64)) {
		if v.IsZero() {
			*next++
			f(*next)
			figures[strings.TrimPrefix(path, ".")] = *next
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), path+"."+v.Type().Field(i).Name, next, figures)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), path+"."+string(rune('0'+i)), next, figures)
		}
	case reflect.Int:
		set(func(f float64) { v.SetInt(int64(f)) })
	case reflect.Uint64:
		set(func(f float64) { v.SetUint(uint64(f)) })
	case reflect.Float64:
		set(v.SetFloat)
	}
}

func written(f Format, s *prefork.Status) string {
	var b bytes.Buffer
	Write(&b, f, s)
	return b.String()
}

// parsed parses the text with Prometheus's library.
func parsed(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return families
}
