package load

import (
	"math"
	"testing"
	"time"
)

func TestAScheduleIsWhatItsStagesSay(t *testing.T) {
	s, err := parseRate("500@10s, 1000-5000@20s,5000", 60*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if s.length() != 60*time.Second || s.total() != 5000+60000+150000 {
		t.Errorf("%v, %v requests", s.length(), s.total())
	}
	for _, c := range []struct {
		index uint64
		want  float64 // seconds
	}{
		{0, 0}, {500, 1}, {5000, 10}, {5000 + 10*1000 + 100*100, 20}, {65000, 30}, {70000, 31},
	} {
		a := newArrivals(s, int(c.index), 1)
		if got := float64(a.at) / 1e9; math.Abs(got-c.want) > 1e-6 {
			t.Errorf("request %d is due after %v s, want %v", c.index, got, c.want)
		}
		if got := s.before(a.at); got != c.index {
			t.Errorf("%d requests are due before request %d", got, c.index)
		}
	}
}

func TestTheLoopsShareEveryArrivalOnce(t *testing.T) {
	s, err := parseRate("100-0@2s,0@1s,50", 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for loop := range 3 {
		last := int64(-1)
		for a := newArrivals(s, loop, 3); a.at < math.MaxInt64; a.next() {
			if a.at < last || a.at > int64(4*time.Second) {
				t.Fatalf("request %d is due at %d, after one at %d", a.index, a.at, last)
			}
			last = a.at
			seen++
		}
	}
	if seen != 150 {
		t.Errorf("%d arrivals, want 150", seen)
	}
}

func TestTheWarmUpOfAScheduleKeepsItsFirstRate(t *testing.T) {
	s, err := parseRate("100-300@2s", 0)
	if err != nil {
		t.Fatal(err)
	}
	w := s.warm(3 * time.Second)
	if w.length() != 5*time.Second || w.total() != 300+400 || w.before(int64(3*time.Second)) != 300 {
		t.Errorf("%v, %v requests, %d before the window", w.length(), w.total(), w.before(int64(3*time.Second)))
	}
}

func TestAnInvalidRateIsAnError(t *testing.T) {
	for _, text := range []string{
		"", "x", "-5", "5-", "1e9", "NaN", "Inf", "0x10", "5@", "5@0s", "5@-1s", "5@1", "5,5", "5@3s,", "0", "0@5s", "5@25h", "5@10s,5",
	} {
		if s, err := parseRate(text, 10*time.Second); err == nil {
			t.Errorf("%q was read as %+v", text, s)
		}
	}
}

func FuzzRate(f *testing.F) {
	f.Add("500@10s,1000-5000@20s,5000")
	f.Add("0-1@1ns")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseRate(text, time.Minute)
		if err != nil {
			return
		}
		if n := s.total(); !(n >= 1) || n > maxRate*maxDuration.Seconds() {
			t.Fatalf("%q has %v requests", text, n)
		}
		last := int64(0)
		a := newArrivals(s, 0, 1)
		for range 1000 {
			if a.at < last {
				t.Fatalf("%q: request %d is due at %d, before one at %d", text, a.index, a.at, last)
			}
			if last = a.at; a.at == math.MaxInt64 {
				break
			}
			a.next()
		}
	})
}
