package loadreport

import (
	"strings"
	"unicode/utf8"
)

// painter puts colours on words, or leaves them as they are.
type painter struct{ on bool }

func (p painter) code(sgr, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

func (p painter) bold(s string) string   { return p.code("1", s) }
func (p painter) dim(s string) string    { return p.code("2", s) }
func (p painter) red(s string) string    { return p.code("31", s) }
func (p painter) green(s string) string  { return p.code("32", s) }
func (p painter) yellow(s string) string { return p.code("33", s) }
func (p painter) none(s string) string   { return s }

// cell is a word of a table and its colour, which takes no room.
type cell struct {
	text  string
	paint func(string) string // nil: as it is
}

func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, t := range texts {
		row[i].text = t
	}
	return row
}

// table aligns columns: those in flush to the left, the others to the right.
type table struct {
	flush map[int]bool
	rows  [][]cell
	notes map[int][]string // lines that follow a row, outside the columns
}

func newTable(p painter, header ...string) *table {
	row := cells(header...)
	for i := range row {
		row[i].paint = p.dim
	}
	return &table{flush: map[int]bool{}, rows: [][]cell{row}, notes: map[int][]string{}}
}

func (t *table) add(row ...cell) { t.rows = append(t.rows, row) }

// note puts a line under the row that was added last.
func (t *table) note(line string) {
	last := len(t.rows) - 1
	t.notes[last] = append(t.notes[last], line)
}

func (t *table) render(b *strings.Builder) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for r, row := range t.rows {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			text := c.text
			if c.paint != nil {
				text = c.paint(text)
			}
			if i > 0 {
				line.WriteString("  ")
			}
			if t.flush[i] {
				line.WriteString(text + pad)
			} else {
				line.WriteString(pad + text)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		for _, note := range t.notes[r] {
			b.WriteString(note + "\n")
		}
	}
}
