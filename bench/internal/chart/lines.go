package chart

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Lines is a plot of curves on two logarithmic axes. All values are positive.
type Lines struct {
	Title        string
	XAxis, YAxis string
	Series       []Series
}

// Series is one curve. It has a point.
type Series struct {
	Label  string
	Color  int // 0, 1 or 2
	Dashed bool
	Points []Point
}

// Point is a median with its range.
type Point struct{ X, Y, Low, High float64 }

const (
	plotHeight = 300
	plotLeft   = 74
	colors     = 3
)

// SVG draws the plot.
func (c Lines) SVG() string {
	var v canvas
	left, top := float64(plotLeft), float64(titleTop+34)
	bottom := top + plotHeight
	room := 0.0
	for _, s := range c.Series {
		room = max(room, textWidth(s.Label))
	}
	right := width - margin - room - 12
	xs, ys := c.bounds()
	x := func(value float64) float64 { return left + (right-left)*xs.share(value) }
	y := func(value float64) float64 { return bottom - plotHeight*ys.share(value) }

	v.text(margin, titleTop, "title", c.Title)
	v.text(margin, titleTop+20, "muted", c.YAxis)
	for _, decade := range xs.decades() {
		v.line(x(decade), top, x(decade), bottom, `class="grid"`)
		v.text(x(decade), bottom+17, "muted mid", short(decade))
	}
	for _, decade := range ys.decades() {
		v.line(left, y(decade), right, y(decade), `class="grid"`)
		v.text(left-8, y(decade)+4, "muted end", short(decade))
	}
	v.text((left+right)/2, bottom+36, "muted mid", c.XAxis)
	for _, s := range c.Series {
		stroke := fmt.Sprintf("var(--s%d)", s.Color%colors+1)
		dash := ""
		if s.Dashed {
			dash = ` stroke-dasharray="5 4"`
		}
		var path strings.Builder
		for k, p := range s.Points {
			command := "L"
			if k == 0 {
				command = "M"
			}
			fmt.Fprintf(&path, "%s%s %s", command, num(x(p.X)), num(y(p.Y)))
			if p.High > p.Low {
				v.line(x(p.X), y(p.Low), x(p.X), y(p.High), fmt.Sprintf(`stroke="%s"`, stroke))
			}
			if !s.Dashed {
				fmt.Fprintf(&v.b, "<circle cx=\"%s\" cy=\"%s\" r=\"3\" fill=\"%s\"/>\n", num(x(p.X)), num(y(p.Y)), stroke)
			}
		}
		fmt.Fprintf(&v.b, "<path d=\"%s\" class=\"line\" stroke=\"%s\"%s/>\n", path.String(), stroke, dash)
	}
	c.labels(&v, x, y)
	return v.document(bottom+50, c.Title, c.describe())
}

// labels writes each name at the end of its curve: to the right of the longest,
// above the others. A neighbour that is too near moves away.
func (c Lines) labels(v *canvas, x, y func(float64) float64) {
	type label struct {
		series Series
		y      float64
	}
	var beside, above []label
	longest := 0.0
	for _, s := range c.Series {
		longest = max(longest, last(s).X)
	}
	for _, s := range c.Series {
		if l := (label{s, y(last(s).Y)}); last(s).X == longest {
			beside = append(beside, l)
		} else {
			above = append(above, l)
		}
	}
	downwards := func(a, b label) int { return cmp.Compare(a.y, b.y) }
	slices.SortStableFunc(beside, downwards)
	slices.SortStableFunc(above, downwards)
	const apart = fontSize + 3
	for i := range beside {
		if i > 0 {
			beside[i].y = max(beside[i].y, beside[i-1].y+apart)
		}
		v.text(x(longest)+9, beside[i].y+4, color("", beside[i].series), beside[i].series.Label)
	}
	for i := len(above) - 1; i >= 0; i-- {
		l := &above[i]
		l.y -= 16
		if i+1 < len(above) {
			l.y = min(l.y, above[i+1].y-apart)
		}
		v.text(x(last(l.series).X)+4, l.y, color("end", l.series), l.series.Label)
	}
}

// color is the class of a label, which has the colour of its curve.
func color(class string, s Series) string {
	return strings.TrimSpace(fmt.Sprintf("%s c%d", class, s.Color%colors+1))
}

func last(s Series) Point { return s.Points[len(s.Points)-1] }

func (c Lines) describe() string {
	var parts []string
	for _, s := range c.Series {
		parts = append(parts, fmt.Sprintf("%s %s at %s", s.Label, short(round(last(s).Y)), short(last(s).X)))
	}
	return fmt.Sprintf("%s by %s: %s", c.YAxis, c.XAxis, strings.Join(parts, "; "))
}

// logarithmic is an axis.
type logarithmic struct{ low, high float64 }

func (a logarithmic) share(v float64) float64 {
	return (math.Log10(v) - a.low) / (a.high - a.low)
}

func (a logarithmic) decades() []float64 {
	var list []float64
	for e := math.Ceil(a.low - 1e-9); e <= a.high+1e-9; e++ {
		list = append(list, math.Pow(10, e))
	}
	return list
}

// bounds returns axes that hold all points. The vertical one begins and ends at
// a third of a decade, so that a curve has some room.
func (c Lines) bounds() (x, y logarithmic) {
	x = logarithmic{math.Inf(1), math.Inf(-1)}
	y = x
	for _, s := range c.Series {
		for _, p := range s.Points {
			x.low, x.high = min(x.low, math.Log10(p.X)), max(x.high, math.Log10(p.X))
			y.low, y.high = min(y.low, math.Log10(p.Low)), max(y.high, math.Log10(p.High))
		}
	}
	y.low, y.high = math.Floor(y.low*3)/3, math.Ceil(y.high*3)/3
	if x.low >= x.high {
		x.low, x.high = x.low-1, x.low+1
	}
	if y.low >= y.high {
		y.high = y.low + 1
	}
	return x, y
}
