package chart

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the charts into testdata")

func bars() Bars {
	return Bars{
		Title: "echo: 64 connections & lines of 64 bytes", Axis: "CPU µs per request", Range: "median and range of the rounds",
		Limit: 5.1, LimitLabel: "C epoll ×1",
		Rows: []Bar{
			{Label: "C epoll ×1", Value: 5.1, Low: 4.9, High: 5.6, Text: "5.10", Control: true},
			{Label: "Go net ×2", Value: 7.4, Low: 7.1, High: 8.5, Text: "7.40", Ratio: "1.45 ×"},
			{Label: "prefork event ×2", Value: 5.4, Low: 5.1, High: 9.5, Text: "5.40", Ratio: "1.05 ×", Ours: true},
			{Label: "Python ThreadingTCPServer", Value: 84, Low: 80, High: 89, Text: "84.00", Ratio: "16.47 ×"},
		},
	}
}

func lines() Lines {
	curve := func(label string, color int, dashed bool, values ...float64) Series {
		s := Series{Label: label, Color: color, Dashed: dashed}
		x := 1.0
		for _, y := range values {
			s.Points = append(s.Points, Point{X: x, Y: y, Low: y * 0.9, High: y * 1.2})
			x *= 10
		}
		return s
	}
	return Lines{
		Title: "the cost of a wait", XAxis: "idle descriptors", YAxis: "ns per event",
		Series: []Series{
			curve("epoll", 0, false, 400, 400, 410, 405, 410),
			curve("epoll, raw", 0, true, 390, 395, 400, 400, 405),
			curve("poll", 1, false, 420, 700, 3400, 31000, 300000),
			curve("select", 2, false, 450, 800, 4400, 39000),
			curve("select, raw", 2, true, 430, 780, 4300, 38000),
		},
	}
}

func TestChartsAreDrawnAsBefore(t *testing.T) {
	for name, got := range map[string]string{"bars.svg": bars().SVG(), "lines.svg": lines().SVG()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs. If it looks right (go test -update), commit it. Got\n%s", path, got)
		}
		for d := xml.NewDecoder(strings.NewReader(got)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s is not well formed: %v", name, err)
			}
		}
	}
}

func TestOnlyBarsFarBeyondOursAreCut(t *testing.T) {
	c := bars()
	if end, cut := c.end(); !cut || math.Abs(end-3*5.4) > 1e-9 {
		t.Errorf("the axis ends at %v, cut %t", end, cut)
	}
	c.Rows[3].Value, c.Rows[3].High = 12, 13
	if end, cut := c.end(); cut || end != 13 {
		t.Errorf("the axis ends at %v, cut %t", end, cut)
	}
	for i := range c.Rows {
		c.Rows[i].Ours, c.Rows[i].Control = false, false
	}
	c.Rows[3].Value, c.Rows[3].High = 84, 89
	if end, cut := c.end(); cut || end != 89 {
		t.Errorf("without ours and a control the axis ends at %v, cut %t", end, cut)
	}
}

func TestValuesOfZeroHaveAnAxis(t *testing.T) {
	c := Bars{Title: "nothing", Axis: "wake-ups/s", Rows: []Bar{{Label: "master", Text: "0.00"}}}
	if svg := c.SVG(); !strings.Contains(svg, ">0.2</text>") {
		t.Errorf("no axis in\n%s", svg)
	}
}

func TestTicksAreOneTwoOrFiveTimesAPowerOfTen(t *testing.T) {
	for limit, want := range map[float64]float64{13.5: 5, 5: 1, 0.32: 0.1, 6000: 2000, 0.011: 0.005} {
		if got := step(limit, 5); round(got) != want {
			t.Errorf("up to %v the step is %v, want %v", limit, got, want)
		}
	}
	for v, want := range map[float64]string{0.2: "0.2", 1000: "1,000", 1234567: "1,234,567", 0: "0", 400.5: "400.5"} {
		if got := short(v); got != want {
			t.Errorf("%v is written as %q, want %q", v, got, want)
		}
	}
}
