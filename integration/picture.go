package integration

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// The style of a picture, in pixels and colours.
const (
	cellWidth, cellHeight = 8.4, 18
	margin                = 12
	paper, ink            = "#1e1e2e", "#cdd6f4"
)

// Picture draws a screen as SVG.
func Picture(title string, screen [][]Cell) string {
	columns := 0
	for _, line := range screen {
		columns = max(columns, len(line))
	}
	width, height := 2*margin+float64(columns)*cellWidth, 2*margin+len(screen)*cellHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", paper)
	b.WriteString(`<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">` + "\n")
	for row, line := range screen {
		for from := 0; from < len(line); {
			to := from + 1
			for to < len(line) && line[to].Style == line[from].Style {
				to++
			}
			drawRun(&b, row, from, line[from:to])
			from = to
		}
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// drawRun draws cells of one style. It draws each word by itself, because SVG
// renderers collapse spaces.
func drawRun(b *strings.Builder, row, column int, cells []Cell) {
	var text strings.Builder
	for _, c := range cells {
		text.WriteRune(c.Rune)
	}
	x, y := margin+float64(column)*cellWidth, margin+row*cellHeight
	length := float64(len(cells)) * cellWidth
	fill, weight, opacity := ink, "", ""
	reverse := false
	for code := range strings.SplitSeq(cells[0].Style, ";") {
		switch code {
		case "1":
			weight = ` font-weight="bold"`
		case "2":
			opacity = ` opacity="0.65"`
		case "7":
			reverse = true
		case "31":
			fill = "#f38ba8"
		case "32":
			fill = "#a6e3a1"
		case "33":
			fill = "#f9e2af"
		}
	}
	if reverse {
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, length, cellHeight, fill)
		fill = paper
	}
	for words := text.String(); words != ""; {
		rest := strings.TrimLeft(words, " ")
		x += cellWidth * float64(len(words)-len(rest))
		word, after := rest, ""
		if i := strings.Index(rest, "  "); i >= 0 {
			word, after = rest[:i], rest[i:]
		}
		words = after
		if word = strings.TrimRight(word, " "); word == "" {
			continue
		}
		length := cellWidth * float64(utf8.RuneCountInString(word))
		fmt.Fprintf(b, `<text x="%.1f" y="%d" textLength="%.1f" fill="%s"%s%s>%s</text>`+"\n",
			x, y+cellHeight-4, length, fill, weight, opacity, html.EscapeString(word))
		x += length
	}
}
