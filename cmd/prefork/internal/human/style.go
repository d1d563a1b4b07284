package human

import "strings"

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

// sgr are the parameters of Select Graphic Rendition (ECMA-48), by style.
var sgr = [...]string{"1", "2", "7", "31", "32", "33"}

// Painter puts styles on words, or leaves them as they are.
type Painter struct{ On bool }

// Paint returns text with the escape sequences of a style around it.
func (p Painter) Paint(s Style, text string) string {
	if !p.On || s == 0 || text == "" {
		return text
	}
	var codes []string
	for i, code := range sgr {
		if s&(1<<i) != 0 {
			codes = append(codes, code)
		}
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + text + "\x1b[0m"
}
