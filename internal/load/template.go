package load

import (
	"fmt"
	"strconv"
	"strings"
)

// maxWidth is the longest number with leading zeros.
const maxWidth = 20

// template is text with places for a number. It is immutable.
type template struct {
	parts  []piece
	static bool // one part, of text alone
}

// piece is text, followed by a number if there is one.
type piece struct {
	text  []byte
	what  int       // what follows the text
	width int       // of the number, at least
	body  *template // whose length is the number, if what is bodyLength
}

// What follows the text of a part.
const (
	nothing = iota
	counter
	bodyLength
)

// literal returns the template that is text alone.
func literal(text []byte) template {
	return template{parts: []piece{{text: text}}, static: true}
}

// parseTemplate reads a template: {n} is the counter and {n:8} the counter with
// leading zeros. Any other brace stands for itself, as JSON has them.
func parseTemplate(text string) template {
	var t template
	begun := 0
	for i := 0; i < len(text); {
		size, width := placeholder(text[i:])
		if size == 0 {
			i++
			continue
		}
		t.parts = append(t.parts, piece{text: []byte(text[begun:i]), what: counter, width: width})
		i += size
		begun = i
	}
	if begun < len(text) || len(t.parts) == 0 {
		t.parts = append(t.parts, piece{text: []byte(text[begun:])})
	}
	t.static = len(t.parts) == 1 && t.parts[0].what == nothing
	return t
}

// placeholder returns the size of the placeholder that text begins with, 0 if
// it begins with none, and the width that it asks for.
func placeholder(text string) (size, width int) {
	if strings.HasPrefix(text, "{n}") {
		return 3, 0
	}
	if !strings.HasPrefix(text, "{n:") {
		return 0, 0
	}
	end := strings.IndexByte(text, '}')
	if end < 4 || end > 5 {
		return 0, 0
	}
	width, err := strconv.Atoi(text[3:end])
	if err != nil || width < 1 || width > maxWidth || text[3] == '+' {
		return 0, 0
	}
	return end + 1, width
}

func (t *template) empty() bool {
	return t.static && len(t.parts[0].text) == 0
}

// append writes the template with its number.
func (t *template) append(to []byte, n uint64) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		to = append(to, p.text...)
		switch p.what {
		case counter:
			to = appendNumber(to, n, p.width)
		case bodyLength:
			to = appendNumber(to, uint64(p.body.length(n)), 0)
		}
	}
	return to
}

// length is that of what append would write.
func (t *template) length(n uint64) int {
	size := 0
	for i := range t.parts {
		size += len(t.parts[i].text)
		if t.parts[i].what == counter {
			size += max(t.parts[i].width, decimals(n))
		}
	}
	return size
}

// upper is the template of the same text in capitals.
func (t *template) upper() template {
	u := template{static: t.static, parts: make([]piece, len(t.parts))}
	for i, p := range t.parts {
		u.parts[i] = p
		u.parts[i].text = make([]byte, len(p.text))
		for j, b := range p.text {
			if 'a' <= b && b <= 'z' {
				b -= 'a' - 'A'
			}
			u.parts[i].text[j] = b
		}
	}
	return u
}

func decimals(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

func appendNumber(to []byte, n uint64, width int) []byte {
	for d := decimals(n); d < width; d++ {
		to = append(to, '0')
	}
	return strconv.AppendUint(to, n, 10)
}

// Unescape replaces \n, \r, \t, \0, \\, \" and \xHH by what they stand for.
func Unescape(text string) ([]byte, error) {
	const pairs = `n` + "\n" + `r` + "\r" + `t` + "\t" + `0` + "\x00" + `\\""`
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		if i == len(text) {
			return nil, fmt.Errorf("unescape %q: it ends in a backslash", cut(text, 40))
		}
		if text[i] == 'x' && i+2 < len(text) {
			if b, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		at := -1
		for j := 0; j < len(pairs); j += 2 {
			if pairs[j] == text[i] {
				at = j
			}
		}
		if at < 0 {
			return nil, fmt.Errorf(`unescape %q: \%c stands for nothing; want \n \r \t \0 \\ \" or \xHH`, cut(text, 40), text[i])
		}
		out = append(out, pairs[at+1])
	}
	return out, nil
}

// cut shortens text to n bytes at most, and shows that it did.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:n] + "..."
}
