package main

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// table aligns columns. Colours are put on after the widths are known, for
// they take room in the bytes and none on the screen.
type table struct {
	header []string
	flush  []bool // left-aligned
	rows   [][]string
	paint  map[[2]int]func(string) string // by row and column; row -1 is the header
}

func newTable(header ...string) *table {
	return &table{header: header, flush: make([]bool, len(header)), paint: map[[2]int]func(string) string{}}
}

func (t *table) column(name string) int {
	for i, h := range t.header {
		if h == name {
			return i
		}
	}
	return 0
}

func (t *table) left(name string) { t.flush[t.column(name)] = true }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// paintLast colours a cell of the row that was added last.
func (t *table) paintLast(name string, f func(string) string) {
	t.paint[[2]int{len(t.rows) - 1, t.column(name)}] = f
}

func (t *table) paintHeader(f func(string) string) {
	for i := range t.header {
		t.paint[[2]int{-1, i}] = f
	}
}

func (t *table) render(b *bytes.Buffer) {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	t.line(b, -1, t.header, widths)
	for r, row := range t.rows {
		t.line(b, r, row, widths)
	}
}

func (t *table) line(b *bytes.Buffer, row int, cells []string, widths []int) {
	for i, cell := range cells {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if f := t.paint[[2]int{row, i}]; f != nil {
			cell = f(cell)
		}
		if i > 0 {
			b.WriteString("  ")
		}
		switch {
		case !t.flush[i]:
			b.WriteString(pad + cell)
		case i == len(cells)-1:
			b.WriteString(cell)
		default:
			b.WriteString(cell + pad)
		}
	}
	b.WriteByte('\n')
}
