package stat

import "testing"

func TestSpreadIsTheMedianBetweenTheExtremes(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{3, 1, 2}, Spread{2, 1, 3}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4}},
	} {
		if got := Of(c.values); got != c.want {
			t.Errorf("Of(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestSpreadKeepsTheOrderOfTheRounds(t *testing.T) {
	values := []float64{3, 1, 2}
	Of(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("the values are %v now", values)
	}
}

// The ratio of two medians would be 1 here; in no round was it.
func TestRatiosArePaired(t *testing.T) {
	got := Of(Ratios([]float64{2, 4, 6}, []float64{1, 2, 6}))
	if want := (Spread{2, 1, 2}); got != want {
		t.Errorf("ratios are %v, want %v", got, want)
	}
}

func TestQuantilesAreValuesThatWereMeasured(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, c := range []struct {
		sorted []int
		q      float64
		want   int
	}{
		{nil, 0.5, 0},
		{[]int{5}, 0.99, 5},
		{[]int{1, 2}, 0.5, 1},
		{[]int{1, 2, 3}, 0.5, 2},
		{hundred, 0, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
	} {
		if got := Quantile(c.sorted, c.q); got != c.want {
			t.Errorf("quantile %v of %d values = %d, want %d", c.q, len(c.sorted), got, c.want)
		}
	}
}
