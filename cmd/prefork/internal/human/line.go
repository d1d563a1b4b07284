package human

import (
	"strings"
)

// Line is one line of the screen, from left to right.
type Line []Cell

// Width returns the number of columns, one for each rune.
func (l Line) Width() int {
	n := 0
	for _, s := range l {
		n += Width(s.Text)
	}
	return n
}

// Fit returns the line cut to so many columns, with an ellipsis at the end if
// something is missing.
func (l Line) Fit(columns int) Line {
	if l.Width() <= columns {
		return l
	}
	var out Line
	for _, s := range l {
		n := Width(s.Text)
		if n >= columns {
			return append(out, Cell{Cut(s.Text+" ", columns), s.Style})
		}
		out = append(out, s)
		columns -= n
	}
	return out
}

// ANSI returns the line with escape sequences, or without styles and without spaces
// at its end.
func (l Line) ANSI(styles bool) string {
	if !styles {
		return strings.TrimRight(l.paint(Painter{}), " ")
	}
	return l.paint(Painter{On: true})
}

func (l Line) paint(p Painter) string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(p.Paint(s.Style, CleanLine(s.Text)))
	}
	return b.String()
}
