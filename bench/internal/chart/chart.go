// Package chart draws the two kinds of charts of docs/benchmarks.md as SVG:
// horizontal bars with ranges, and lines on logarithmic axes. The same values
// always give the same bytes.
//
// A chart has its own background, and its colours follow the colour scheme of
// the reader's browser. No script and no font is loaded.
package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// The sizes that both kinds share, in pixels.
const (
	width    = 760
	margin   = 20
	fontSize = 13
	letter   = 7.3 // the average width of a letter, on the safe side
	titleTop = 30
)

// style has the colours of both schemes. Accent is ours; series are the lines of
// a plot.
const style = `<style>
svg{--bg:#fff;--edge:#d1d9e0;--text:#1f2328;--muted:#59636e;--grid:#e6eaef;--bar:#b4bcc6;--control:#7d8792;--accent:#0a66d0;--limit:#c4321f;--s1:#0a66d0;--s2:#bc5a00;--s3:#3d7d3f}
@media(prefers-color-scheme:dark){svg{--bg:#0d1117;--edge:#30363d;--text:#e6edf3;--muted:#9198a1;--grid:#21262d;--bar:#4a525c;--control:#7a838d;--accent:#4493f8;--limit:#ff7b72;--s1:#4493f8;--s2:#f0883e;--s3:#57ab5a}}
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--text)}
.title{font-size:15px;font-weight:600}.muted{fill:var(--muted);font-size:12px}.ours{font-weight:600;fill:var(--accent)}
.value{paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}
.end{text-anchor:end}.mid{text-anchor:middle}.limit{fill:var(--limit);font-size:12px}
.c1{fill:var(--s1)}.c2{fill:var(--s2)}.c3{fill:var(--s3)}
.grid{stroke:var(--grid)}.whisker{stroke:var(--text);stroke-width:1.3}.line{fill:none;stroke-width:2}
</style>
`

// canvas collects the elements of a chart.
type canvas struct {
	b strings.Builder
}

func (c *canvas) text(x, y float64, class, text string) {
	fmt.Fprintf(&c.b, "<text x=\"%s\" y=\"%s\" class=\"%s\">%s</text>\n", num(x), num(y), class, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, attributes string) {
	fmt.Fprintf(&c.b, "<path d=\"M%s %sL%s %s\" %s/>\n", num(x1), num(y1), num(x2), num(y2), attributes)
}

func (c *canvas) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(&c.b, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" rx=\"2\" fill=\"var(--%s)\"/>\n", num(x), num(y), num(w), num(h), fill)
}

// document returns the chart. The description is for those who cannot see it.
func (c *canvas) document(height float64, title, description string) string {
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %s\" width=\"%d\" height=\"%s\" role=\"img\">\n"+
		"<title>%s</title>\n<desc>%s</desc>\n%s"+
		"<rect x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%s\" rx=\"6\" fill=\"var(--bg)\" stroke=\"var(--edge)\"/>\n%s</svg>\n",
		width, num(height), width, num(height), html.EscapeString(title), html.EscapeString(description), style,
		width-1, num(height-1), c.b.String())
}

// num writes a coordinate with at most one decimal.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// textWidth estimates the width of a text.
func textWidth(s string) float64 { return letter * float64(len([]rune(s))) }

// step returns a distance of ticks, 1, 2 or 5 times a power of ten, so that
// there are about n of them.
func step(limit float64, n int) float64 {
	raw := limit / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= raw {
			return f * power
		}
	}
	return 10 * power
}

// short writes a value of an axis.
func short(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) > 3 && fraction == "" {
		var parts []string
		for len(whole) > 3 {
			parts = append([]string{whole[len(whole)-3:]}, parts...)
			whole = whole[:len(whole)-3]
		}
		return strings.Join(append([]string{whole}, parts...), ",")
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}
