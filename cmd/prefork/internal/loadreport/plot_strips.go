package loadreport

import (
	"fmt"
	"html"
	"math"
	"strings"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// The bounds of the drawn series.
const (
	mostPoints      = 400 // across the width
	mostMarksDrawn  = 100 // as lines
	mostMarksListed = 40  // as text below
)

const (
	stripHeight  = 110.0
	errorsHeight = 56.0
)

// strips draws the rate, the latency and the errors of each second over one axis of
// time, and the marks across all three.
func (d *drawing) strips(r *load.Result) {
	d.text(20, d.y+30, "head", "start", "Second by second")
	rows := rowsOf(r, mostPoints)
	if len(rows) == 0 {
		d.text((plotLeft+plotRight)/2, d.y+60, "faint", "middle", "no second was measured")
		d.y += 80
		return
	}
	if rows[0].span > 1.5 {
		d.text(plotRight, d.y+30, "faint", "end", fmt.Sprintf("%.0f seconds a step; p99 of the worst", rows[0].span))
	}
	last := rows[len(rows)-1]
	x := scale{low: rows[0].at, high: last.at + last.span, from: plotLeft, to: plotRight}
	marks := marksOf(r)
	badges := placeBadges(marks, x)
	d.y += 44 + badgeHeight*float64(badges.levels)
	top := d.y + 4
	// The grid and the curves of all strips lie under the marks.
	d.strip("requests/s", stripHeight, levels(tall(rows, (*row).rate), stripHeight), countTick, func(y scale) {
		d.path(area(rows, x, y), "rate-area")
		d.path(steps(rows, x, y, (*row).rate), "line thin rate")
	})
	d.strip("p99, corrected", stripHeight, latencyLevels(rows), human.Duration, func(y scale) {
		d.path(steps(rows, x, y, (*row).worstP99), "line thin p99")
	})
	d.strip("errors/s", errorsHeight, levels(tall(rows, (*row).errorRate), errorsHeight), countTick, func(y scale) { d.errorBars(rows, x, y) })
	d.seconds(x)
	d.marks(marks, badges, top)
	d.b.WriteString(d.names.String())
	d.legend(marks)
}

func tall(rows []row, of func(*row) float64) float64 {
	high := 0.0
	for i := range rows {
		high = math.Max(high, of(&rows[i]))
	}
	return high
}

// leveled is the axis of a strip, whose place is not known yet.
type leveled struct {
	scale scale
	ticks []float64
}

// levels is an axis from zero.
func levels(high, height float64) leveled {
	ticks, end := linearTicks(high, max(int(height/26), 2))
	return leveled{scale{low: 0, high: end}, ticks}
}

// latencyLevels is an axis from zero too, or a logarithmic one if the worst second
// is more than ten times the best.
func latencyLevels(rows []row) leveled {
	low, high := math.Inf(1), tall(rows, (*row).worstP99)
	for i := range rows {
		if rows[i].requests > 0 {
			low = math.Min(low, rows[i].p99)
		}
	}
	if !(high > 10*low) || low <= 0 {
		return levels(high, stripHeight)
	}
	y := latencyScale(low, high, 0, 1)
	return leveled{y, logTicks(y.low, y.high, 5)}
}

// strip draws the frame of one figure, and calls fill to draw into it.
func (d *drawing) strip(name string, height float64, l leveled, tick func(float64) string, fill func(scale)) {
	const gap = 26
	top := d.y + gap - 6
	bottom := top + height
	y := l.scale
	y.from, y.to = bottom, top
	for _, v := range l.ticks {
		d.line(plotLeft, y.at(v), plotRight, y.at(v), "grid")
		d.text(plotLeft-8, y.at(v)+4, "faint", "end", tick(v))
	}
	fill(y)
	d.line(plotLeft, bottom, plotRight, bottom, "axis")
	fmt.Fprintf(&d.names, `<text x="%.1f" y="%.1f" class="name">%s</text>`+"\n", plotLeft+2, top-5, name)
	d.y = bottom
}

// steps is a path with one level a row. It has a gap where nothing was answered,
// because there is no latency.
func steps(rows []row, x, y scale, of func(*row) float64) string {
	var b strings.Builder
	pen := false
	for i := range rows {
		r := &rows[i]
		if r.requests == 0 {
			pen = false
			continue
		}
		step := "M"
		if pen {
			step = "L"
		}
		level := y.at(of(r))
		fmt.Fprintf(&b, "%s%.1f %.1fH%.1f", step, x.at(r.at), level, x.at(r.at+r.span))
		pen = true
	}
	return b.String()
}

func area(rows []row, x, y scale) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%.1f %.1f", x.at(rows[0].at), y.from)
	for i := range rows {
		fmt.Fprintf(&b, "L%.1f %.1fH%.1f", x.at(rows[i].at), y.at(rows[i].rate()), x.at(rows[i].at+rows[i].span))
	}
	fmt.Fprintf(&b, "V%.1fZ", y.from)
	return b.String()
}

func (d *drawing) errorBars(rows []row, x, y scale) {
	some := false
	for i := range rows {
		r := &rows[i]
		if r.errors == 0 {
			continue
		}
		some = true
		from, to, top := x.at(r.at), x.at(r.at+r.span), y.at(r.errorRate())
		top = min(top, y.from-2) // a single error can be seen
		fmt.Fprintf(&d.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="errors"/>`+"\n",
			from, top, max(to-from-0.5, 1.5), y.from-top)
	}
	if !some {
		d.text((plotLeft+plotRight)/2, (y.from+y.to)/2+4, "faint", "middle", "none")
	}
}

func (d *drawing) seconds(x scale) {
	ticks, _ := linearTicks(x.high-x.low, 10)
	for _, v := range ticks {
		if v > (x.high-x.low)*(1+1e-9) {
			break
		}
		at := x.at(x.low + v)
		d.line(at, d.y, at, d.y+5, "axis")
		d.text(at, d.y+19, "faint", "middle", short(threeDigits(v)))
	}
	d.text(plotRight, d.y+35, "faint", "end", "seconds since the window began")
	d.y += 5
}

// badge is the place of a mark's number above the strips.
type badge struct {
	x     float64
	level int
}

// badges are placed on few levels so that neighbours do not hide each other.
type badges struct {
	at     []badge
	levels int
}

const (
	badgeHeight = 17.0
	badgeWidth  = 20.0
	mostLevels  = 4
)

func placeBadges(marks []load.Mark, x scale) badges {
	var placed badges
	ends := make([]float64, mostLevels)
	for i := range ends {
		ends[i] = -badgeWidth
	}
	for _, m := range marks[:min(len(marks), mostMarksDrawn)] {
		at := x.at(m.AtS)
		level := 0
		for i := range ends {
			if ends[i] <= at-badgeWidth {
				level = i
				break
			}
			if ends[i] < ends[level] {
				level = i
			}
		}
		ends[level] = at
		placed.at = append(placed.at, badge{at, level})
		placed.levels = max(placed.levels, level+1)
	}
	return placed
}

// marks draws a numbered line for each mark, from its badge down to the axis.
func (d *drawing) marks(marks []load.Mark, placed badges, top float64) {
	for i, at := range placed.at {
		y := top - badgeHeight*float64(at.level)
		fmt.Fprintf(&d.b, "<g><title>%s</title>\n", html.EscapeString(fmt.Sprintf("%.2f s ", marks[i].AtS)+markText(marks[i], 300)))
		d.line(at.x, y, at.x, d.y-5, "mark"+badClass(marks[i]))
		d.badge(at.x, y-3.5, i, marks[i])
		d.b.WriteString("</g>\n")
	}
}

// badge draws the number of a mark, in the middle above x and y.
func (d *drawing) badge(x, y float64, i int, m load.Mark) {
	fmt.Fprintf(&d.b, `<rect x="%.1f" y="%.1f" width="18" height="14" rx="4" class="badge%s"/>`+"\n", x-9, y-10.5, badClass(m))
	d.text(x, y, "badge-text", "middle", fmt.Sprint(i+1))
}

func badClass(m load.Mark) string {
	if bad(m) {
		return "-bad"
	}
	return ""
}

// legend says in two columns what the numbers mean.
func (d *drawing) legend(marks []load.Mark) {
	d.y += 42
	listed := marks[:min(len(marks), mostMarksListed)]
	half := (len(listed) + 1) / 2
	column := (plotRight - 20) / 2
	fits := int((column - 40) / letterWidth)
	for i, m := range listed {
		x, y := 20+column*float64(i/max(half, 1)), d.y+18*float64(i%max(half, 1)+1)
		d.badge(x+9, y-0.5, i, m)
		when := fmt.Sprintf("%.2f s  ", m.AtS)
		d.text(x+26, y, "strong", "start", html.EscapeString(when+markText(m, fits-len(when))))
	}
	d.y += 18 * float64(half)
	if rest := len(marks) - len(listed); rest > 0 {
		d.y += 18
		d.text(46, d.y, "faint", "start", fmt.Sprintf("and %d more marks", rest))
	}
}
