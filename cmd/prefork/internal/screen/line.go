package screen

import (
	"strings"
	"unicode/utf8"

	"prefork/cmd/prefork/internal/human"
)

// Style is how a text looks. Its zero value is plain.
type Style uint8

// The styles. They can be combined; of two colours the last one in this list
// shows.
const (
	Bold Style = 1 << iota
	Dim
	Reverse
	Red
	Green
	Yellow
)

// sgr are the parameters of Select Graphic Rendition for each style.
var sgr = [...]struct {
	style Style
	code  string
}{{Bold, ";1"}, {Dim, ";2"}, {Reverse, ";7"}, {Red, ";31"}, {Green, ";32"}, {Yellow, ";33"}}

// Span is a piece of a line.
type Span struct {
	Text  string
	Style Style
}

// Line is one line of the screen, from left to right.
type Line []Span

// Width returns the number of columns, one for each rune.
func (l Line) Width() int {
	n := 0
	for _, s := range l {
		n += utf8.RuneCountInString(s.Text)
	}
	return n
}

// Fit returns the line cut to so many columns, with an ellipsis at the end if
// something is missing.
func (l Line) Fit(columns int) Line {
	if l.Width() <= columns {
		return l
	}
	if columns <= 0 {
		return nil
	}
	var out Line
	room := columns - 1
	for _, s := range l {
		n := utf8.RuneCountInString(s.Text)
		if n > room {
			return append(out, Span{string([]rune(s.Text)[:room]) + "…", s.Style})
		}
		out = append(out, s)
		room -= n
	}
	return out
}

// Cut returns text in at most so many columns, with an ellipsis at the end if
// something is missing.
func Cut(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	if columns <= 0 {
		return ""
	}
	runes := []rune(text)
	return string(runes[:columns-1]) + "…"
}

// Plain returns the line without styles and without spaces at its end.
func (l Line) Plain() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(human.CleanLine(s.Text))
	}
	return strings.TrimRight(b.String(), " ")
}

// ANSI returns the line with escape sequences, or Plain if styles are not
// wanted.
func (l Line) ANSI(styles bool) string {
	if !styles {
		return l.Plain()
	}
	var b strings.Builder
	for _, s := range l {
		text := human.CleanLine(s.Text)
		if s.Style == 0 || text == "" {
			b.WriteString(text)
			continue
		}
		b.WriteString("\x1b[0")
		for _, c := range sgr {
			if s.Style&c.style != 0 {
				b.WriteString(c.code)
			}
		}
		b.WriteString("m" + text + "\x1b[0m")
	}
	return b.String()
}
