package top

import (
	"slices"

	"prefork/cmd/prefork/internal/human"
)

// leastDoing is the room that the last column needs to be of use.
const leastDoing = 12

// table is the workers, in the columns that there is room for.
type table struct {
	rows   []row
	width  int    // of a line
	sorted int    // index into columns, or -1 if the order is not shown
	arrow  string // that shows it
}

func (t *table) title(i int) string {
	if i == t.sorted {
		return columns[i].name + t.arrow
	}
	return columns[i].name
}

// fit returns the columns that there is room for, as indexes. The one that is needed
// least goes first; a column that is sorted by stays.
func (t *table) fit() []int {
	var at, widths []int
	total := -1 // between each two columns is a space
	for i, c := range columns {
		width := human.Width(t.title(i))
		for r := range t.rows {
			width = max(width, human.Width(c.cell(&t.rows[r])))
		}
		if i == len(columns)-1 {
			width = min(width, leastDoing)
		}
		at, widths, total = append(at, i), append(widths, width), total+width+1
	}
	for total > t.width {
		worst := -1
		for n, i := range at {
			if columns[i].spare > 0 && i != t.sorted && (worst < 0 || columns[i].spare > columns[at[worst]].spare) {
				worst = n
			}
		}
		if worst < 0 {
			break
		}
		total -= widths[at[worst]] + 1
		at = slices.Delete(at, worst, worst+1)
	}
	return at
}

// lines are the header and a line for each worker.
func (t *table) lines() []human.Line {
	shown := human.Table{Gap: " "}
	at := t.fit()
	header := make([]human.Cell, len(at))
	for n, i := range at {
		header[n] = human.Cell{Text: t.title(i), Style: human.Dim}
		if i == t.sorted {
			header[n].Style = human.Bold
		}
		if columns[i].left {
			shown.Left = append(shown.Left, n)
		}
	}
	shown.Add(header...)
	for r := range t.rows {
		cells := make([]human.Cell, len(at))
		for n, i := range at {
			cells[n].Text = columns[i].cell(&t.rows[r])
			if style := columns[i].style; style != nil {
				cells[n].Style = style(&t.rows[r])
			}
		}
		shown.Add(cells...)
	}
	return shown.Lines()
}
