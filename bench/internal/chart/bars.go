package chart

import (
	"fmt"
	"math"
	"strings"
)

// Bars is a chart of one value a row, with its range.
type Bars struct {
	Title string
	Axis  string
	Range string // what a whisker shows
	Rows  []Bar

	// Limit is drawn as a vertical line through all rows; 0 is none.
	Limit      float64
	LimitLabel string
}

// Bar is a row of a bar chart.
type Bar struct {
	Label         string
	Value         float64
	Low, High     float64 // the range
	Text          string  // beside the bar
	Ratio         string  // after the text
	Ours, Control bool
}

const (
	rowHeight = 27
	barHeight = 15
	textRoom  = 165 // for the text beside the longest bar

	// If the longest bar is longer than cutFrom times the longest of those that the
	// chart is about, bars are cut at cutAt times that, so that these can still be
	// compared.
	cutFrom = 4
	cutAt   = 3
)

// SVG draws the chart.
func (c Bars) SVG() string {
	var v canvas
	labels := 0.0
	for _, r := range c.Rows {
		w := textWidth(r.Label)
		if r.Ours {
			w *= 1.06 // bold
		}
		labels = max(labels, w)
	}
	left := margin + labels + 10
	right := float64(width - margin - textRoom)
	top := float64(titleTop + 22)
	if c.Limit > 0 {
		top += 16
	}
	bottom := top + rowHeight*float64(len(c.Rows))
	end, cut := c.end()
	x := func(value float64) float64 { return left + (right-left)*min(value, end)/end }

	v.text(margin, titleTop, "title", c.Title)
	distance := step(end, 5)
	for i := 0; float64(i)*distance <= end*1.0001; i++ {
		value := float64(i) * distance
		v.line(x(value), top-4, x(value), bottom, `class="grid"`)
		v.text(x(value), bottom+16, "muted mid", short(round(value)))
	}
	v.text(margin, bottom+34, "muted", c.legend(cut))
	tips := make([]float64, len(c.Rows))
	for i, r := range c.Rows {
		tips[i] = c.row(&v, r, top+rowHeight*float64(i), left, end, x)
	}
	if c.Limit > 0 {
		v.line(x(c.Limit), top-8, x(c.Limit), bottom, `stroke="var(--limit)" stroke-width="1.5" stroke-dasharray="5 3"`)
		v.text(x(c.Limit)+4, top-8, "limit", c.LimitLabel)
	}
	for i, r := range c.Rows {
		y := top + rowHeight*(float64(i)+0.5) + 4.5
		v.text(tips[i]+8, y, "value", r.Text)
		if r.Ratio != "" {
			v.text(tips[i]+8+textWidth(r.Text)+10, y, "value muted", r.Ratio)
		}
	}
	return v.document(bottom+48, c.Title, c.describe())
}

// row draws the name, the bar and the range, and returns where the text goes.
func (c Bars) row(v *canvas, r Bar, top, left, end float64, x func(float64) float64) float64 {
	middle := top + rowHeight/2.0
	class, fill := "end", "bar"
	switch {
	case r.Ours:
		class, fill = "end ours", "accent"
	case r.Control:
		fill = "control"
	}
	v.text(left-10, middle+4.5, class, r.Label)
	v.rect(left, middle-barHeight/2.0, max(x(r.Value)-left, 1), barHeight, fill)
	tip := x(r.Value)
	if r.Value > end {
		v.line(tip-14, middle+barHeight/2.0+2, tip-8, middle-barHeight/2.0-2, `stroke="var(--bg)" stroke-width="4"`)
	} else if r.High > r.Low {
		v.line(x(r.Low), middle, x(r.High), middle, `class="whisker"`)
		v.line(x(r.Low), middle-4, x(r.Low), middle+4, `class="whisker"`)
		if r.High <= end {
			v.line(x(r.High), middle-4, x(r.High), middle+4, `class="whisker"`)
		}
		tip = max(tip, x(r.High))
	}
	return tip
}

// end returns the greatest value of the axis, and whether longer bars are cut.
func (c Bars) end() (float64, bool) {
	longest, about, high := 0.0, 0.0, 0.0
	for _, r := range c.Rows {
		longest = max(longest, r.Value)
		if r.Ours || r.Control {
			about = max(about, r.Value)
		}
	}
	end := longest
	if about > 0 && longest > cutFrom*about {
		end = cutAt * about
	}
	for _, r := range c.Rows {
		if r.Value <= end {
			high = max(high, min(r.High, end*1.5))
		}
	}
	if end = max(end, high); end <= 0 {
		return 1, false // all values are zero
	}
	return end, longest > end
}

func (c Bars) legend(cut bool) string {
	text := c.Axis + "; " + c.Range
	if cut {
		text += "; a bar with a gap is cut"
	}
	return text
}

func (c Bars) describe() string {
	parts := make([]string, len(c.Rows))
	for i, r := range c.Rows {
		parts[i] = strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Label, r.Text, r.Ratio))
	}
	return c.Axis + ": " + strings.Join(parts, "; ")
}

// round removes what binary fractions add to a tick.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }
