package main

import (
	"strings"
	"testing"
)

func TestQuotedFiguresAreThoseOfTheTables(t *testing.T) {
	s := sampleSuite()
	s.Skipped = nil
	s.Rows = append(s.Rows, row{Name: goNet(2), Values: map[string][]float64{mCPU: {6, 12, 6}}},
		row{Name: event(2), Values: map[string][]float64{mCPU: {3, 6, 3}}})
	churn := s
	churn.Name = "churn"
	spawn := suite{Name: "spawn", Main: mP50ms, Rounds: 1, Rows: []row{{Name: spawnName, Times: []float64{1.5, 2.25, 3}}}}
	r := report{Suites: []suite{s, churn, spawn}}
	const text = "So an echo in mode `threading` takes 7 times, the same in mode `event` 8.88 times, a connection with one line in mode `threading` 9.9.\nA worker is ready in 10 ms. End.\n"
	const want = "So an echo in mode `threading` takes 1.00 times, the same in mode `event` 0.50 times, a connection with one line in mode `threading` 1.00.\nA worker is ready in 2.25 ms. End.\n"
	if got, err := r.quoteIn([]byte(text)); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	r.Suites = r.Suites[:2]
	if _, err := r.quoteIn([]byte(strings.Replace(text, "`event` 8.88", "`event` many", 1))); err == nil ||
		!strings.Contains(err.Error(), `no figure after "the same in mode`) || !strings.Contains(err.Error(), `"spawn", which was not measured`) {
		t.Errorf("%v", err)
	}
}
