package human

import (
	"slices"
	"strings"
)

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
	Gap  string // between two columns
	Left []int  // the columns that are aligned to the left

	rows  [][]Cell
	notes map[int][]string // lines that follow a row, outside the columns
}

// NewTable returns a table with a header. The columns left are aligned to the left.
func NewTable(header []string, left ...int) *Table {
	t := &Table{Gap: "  ", Left: left, notes: map[int][]string{}}
	row := Cells(header...)
	for i := range row {
		row[i].Style = Dim
	}
	t.Add(row...)
	return t
}

// Add adds a row, which has as many cells as the others.
func (t *Table) Add(row ...Cell) { t.rows = append(t.rows, row) }

// Note puts a line under the row that was added last.
func (t *Table) Note(line string) {
	last := len(t.rows) - 1
	t.notes[last] = append(t.notes[last], line)
}

// Lines returns the table without its notes, a line a row.
func (t *Table) Lines() []Line {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], Width(c.Text))
		}
	}
	lines := make([]Line, len(t.rows))
	for r, row := range t.rows {
		gap := ""
		for i, c := range row {
			pad := Cell{Text: strings.Repeat(" ", widths[i]-Width(c.Text))}
			switch {
			case !slices.Contains(t.Left, i):
				lines[r] = append(lines[r], Cell{Text: gap}, pad, c)
			case i == len(row)-1:
				lines[r] = append(lines[r], Cell{Text: gap}, c)
			default:
				lines[r] = append(lines[r], Cell{Text: gap}, c, pad)
			}
			gap = t.Gap
		}
	}
	return lines
}

// Render writes the table with its notes.
func (t *Table) Render(b *strings.Builder, p Painter) {
	for r, line := range t.Lines() {
		b.WriteString(strings.TrimRight(line.paint(p), " ") + "\n")
		for _, note := range t.notes[r] {
			b.WriteString(note + "\n")
		}
	}
}
