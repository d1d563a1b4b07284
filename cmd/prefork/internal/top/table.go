package top

import (
	"strings"

	"prefork/cmd/prefork/internal/human"
)

// leastDoing is the room that the last column needs to be of use.
const leastDoing = 12

type table struct {
	rows    []row
	at      []int // indexes into columns: those that there is room for
	widths  []int // of them
	columns int   // of the screen
	mark    bool  // there is a column for the mark of the selected worker
	sorted  int   // index into columns, or -1 if it is not shown
	arrow   string
}

// newTable returns a table that has all columns until fit.
func newTable(rows []row, width int) *table {
	t := &table{rows: rows, columns: width, sorted: -1}
	for i := range columns {
		t.at = append(t.at, i)
	}
	return t
}

// fit measures the columns and drops those that there is no room for.
func (t *table) fit() {
	widths := make([]int, len(columns))
	for i := range columns {
		widths[i] = human.Width(t.title(i))
		for r := range t.rows {
			widths[i] = max(widths[i], human.Width(columns[i].cell(&t.rows[r])))
		}
	}
	last := len(columns) - 1
	wanted := widths[last]
	widths[last] = min(wanted, leastDoing)
	for t.width(widths) > t.columns && t.drop() {
	}
	t.widths = nil
	for _, i := range t.at {
		t.widths = append(t.widths, widths[i])
	}
	if n := len(t.at) - 1; t.at[n] == last {
		t.widths[n] = min(wanted, widths[last]+t.columns-t.width(widths))
	}
}

// width is that of a line: the columns and a space between each two. The mark
// is a column too.
func (t *table) width(widths []int) int {
	n := len(t.at) - 1
	if t.mark {
		n += 2
	}
	for _, i := range t.at {
		n += widths[i]
	}
	return n
}

// drop gives up the column that is needed least, and says whether there was
// one to give up. A column that is sorted by stays.
func (t *table) drop() bool {
	worst := -1
	for n, i := range t.at {
		if columns[i].spare > 0 && i != t.sorted && (worst < 0 || columns[i].spare > columns[t.at[worst]].spare) {
			worst = n
		}
	}
	if worst < 0 {
		return false
	}
	t.at = append(t.at[:worst:worst], t.at[worst+1:]...)
	return true
}

func (t *table) title(i int) string {
	if i == t.sorted {
		return columns[i].name + t.arrow
	}
	return columns[i].name
}

func (t *table) header() human.Line {
	return t.line(" ", func(i int) (string, human.Style) {
		if i == t.sorted {
			return t.title(i), human.Bold
		}
		return t.title(i), human.Dim
	})
}

func (t *table) worker(r *row, selected bool) human.Line {
	mark := " "
	if selected {
		mark = ">"
	}
	l := t.line(mark, func(i int) (string, human.Style) {
		if columns[i].style == nil {
			return columns[i].cell(r), 0
		}
		return columns[i].cell(r), columns[i].style(r)
	})
	if selected {
		l = append(l, human.Cell{Text: strings.Repeat(" ", max(0, t.columns-l.Width()))})
		for i := range l {
			l[i].Style |= human.Reverse
		}
	}
	return l
}

func (t *table) line(mark string, cell func(i int) (string, human.Style)) human.Line {
	var l human.Line
	if t.mark {
		l = append(l, human.Cell{Text: mark})
	}
	for n, i := range t.at {
		text, style := cell(i)
		text = human.Cut(text, t.widths[n])
		pad := strings.Repeat(" ", max(0, t.widths[n]-human.Width(text)))
		gap := " "
		if n == 0 && !t.mark {
			gap = ""
		}
		switch {
		case !columns[i].left:
			l = append(l, human.Cell{Text: gap + pad}, human.Cell{Text: text, Style: style})
		case n == len(t.at)-1:
			l = append(l, human.Cell{Text: gap}, human.Cell{Text: text, Style: style})
		default:
			l = append(l, human.Cell{Text: gap}, human.Cell{Text: text, Style: style}, human.Cell{Text: pad})
		}
	}
	return l.Fit(t.columns)
}
