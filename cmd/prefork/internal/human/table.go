package human

import "strings"

// Cell is a piece of a table or of a line, and its style.
type Cell struct {
	Text  string
	Style Style
}

// Cells makes plain cells.
func Cells(texts ...string) []Cell {
	row := make([]Cell, len(texts))
	for i, t := range texts {
		row[i].Text = t
	}
	return row
}

// Table aligns columns, to the right by default.
type Table struct {
	p     Painter
	flush map[int]bool // to the left
	rows  [][]Cell
	notes map[int][]string // lines that follow a row, outside the columns
}

// NewTable returns a table with a header. The columns left are aligned to the left.
func NewTable(p Painter, header []string, left ...int) *Table {
	t := &Table{p: p, flush: map[int]bool{}, notes: map[int][]string{}}
	row := Cells(header...)
	for i := range row {
		row[i].Style = Dim
	}
	for _, i := range left {
		t.flush[i] = true
	}
	t.Add(row...)
	return t
}

// Add adds a row, which has as many cells as the header.
func (t *Table) Add(row ...Cell) { t.rows = append(t.rows, row) }

// Note puts a line under the row that was added last.
func (t *Table) Note(line string) {
	last := len(t.rows) - 1
	t.notes[last] = append(t.notes[last], line)
}

// Render writes the table, a line a row.
func (t *Table) Render(b *strings.Builder) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], Width(c.Text))
		}
	}
	for r, row := range t.rows {
		var line strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-Width(c.Text))
			text := t.p.Paint(c.Style, c.Text)
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
