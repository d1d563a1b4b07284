package loadreport

import (
	_ "embed" // for the style
	"fmt"
	"html"
	"strings"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// The drawing, in its own units, which are pixels when it is not scaled.
const (
	pageWidth   = 960.0
	plotLeft    = 84.0
	plotRight   = pageWidth - 28
	letterWidth = 6.6 // of the small text, on the wide side
	lineLetters = 139 // that fit the page
)

// svgStyle is dark on light. It uses classes, so that a page around the drawing can
// change the colours.
//
//go:embed plot_svg.css
var svgStyle string

// drawing is an SVG that is being written. Its y grows downwards.
type drawing struct {
	b strings.Builder
	y float64 // where the next thing goes

	names strings.Builder // of the strips, which stand before the marks that cross them
}

// escape makes foreign text fit for markup, on one line of most letters.
func escape(s string, most int) string { return html.EscapeString(clean(s, most)) }

// text writes text that is escaped already; anchor is start, middle or end.
func (d *drawing) text(x, y float64, class, anchor, escaped string) {
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escaped)
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&d.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (d *drawing) path(data, class string) {
	if data != "" {
		fmt.Fprintf(&d.b, `<path d="%s" class="%s"/>`+"\n", strings.TrimSpace(data), class)
	}
}

func svgFile(r *load.Result) (string, error) {
	s, err := svg(r, true)
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + s, err
}

// svg draws a run: what it was, the latencies, the series, and its marks. The
// warnings can be left to a page around it.
func svg(r *load.Result, warnings bool) (string, error) {
	d := &drawing{}
	d.heading(r)
	if warnings {
		d.warnings(r.Generator.Warnings)
	}
	if err := d.percentiles(r); err != nil {
		return "", err
	}
	d.strips(r)
	height := d.y + 16
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+"\n",
		pageWidth, height, pageWidth, height)
	fmt.Fprintf(&b, "<title>load on %s</title>\n<style>\n%s</style>\n", escape(r.Target, 200), svgStyle)
	fmt.Fprintf(&b, `<rect class="paper" width="%.0f" height="%.0f"/>`+"\n", pageWidth, height)
	return b.String() + d.b.String() + "</svg>\n", nil
}

// mostWarningsDrawn bounds the lines above the panels.
const mostWarningsDrawn = 4

func (d *drawing) heading(r *load.Result) {
	d.text(20, 32, "title", "start", escape(r.Target, 90))
	d.text(20, 54, "faint", "start", html.EscapeString(clean(planText(r.Plan), lineLetters)))
	summary := fmt.Sprintf("%s requests/s, %d in %s, errors: %s", perSecond(r.RequestsPS), r.Requests, human.Duration(r.ElapsedS), errorsText(r))
	if r.Server != nil {
		summary += ", server " + human.Duration(r.Server.PerRequestUS/1e6) + " of CPU a request"
	}
	d.text(20, 73, "strong", "start", html.EscapeString(clean(summary, lineLetters)))
	d.y = 84
}

func (d *drawing) warnings(list []string) {
	for i, w := range list {
		if i == mostWarningsDrawn {
			w = fmt.Sprintf("and %d more warnings", len(list)-i)
		}
		d.y += 17
		d.text(20, d.y+6, "warn", "start", escape("⚠ "+w, lineLetters-10))
		if i == mostWarningsDrawn {
			break
		}
	}
	if len(list) > 0 {
		d.y += 10
	}
}
