package load

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

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

func literal(text []byte) template {
	return template{parts: []piece{{text: text}}, static: true}
}

// parseTemplate reads a template: {n} is the counter and {n:8} the counter with
// leading zeros, 20 digits at most. Any other brace stands for itself, as JSON
// has them.
func parseTemplate(text string) template {
	var t template
	end := 0
	for _, at := range regexp.MustCompile(`\{n(?::(0?[1-9]|1[0-9]|20))?\}`).FindAllStringSubmatchIndex(text, -1) {
		p := piece{text: []byte(text[end:at[0]]), what: counter}
		if at[2] >= 0 {
			p.width, _ = strconv.Atoi(text[at[2]:at[3]]) // digits alone
		}
		t.parts = append(t.parts, p)
		end = at[1]
	}
	if end < len(text) || len(t.parts) == 0 {
		t.parts = append(t.parts, piece{text: []byte(text[end:])})
	}
	t.static = len(t.parts) == 1 && t.parts[0].what == nothing
	return t
}

// concat returns the templates as one, with neighbouring texts in one piece. The
// length of a body that is text alone becomes text.
func concat(templates ...template) template {
	var all template
	var text []byte
	for _, t := range templates {
		for _, p := range t.parts {
			text = append(text, p.text...)
			switch {
			case p.what == nothing:
			case p.what == bodyLength && p.body.static:
				text = appendNumber(text, uint64(p.body.length(0)), 0)
			default:
				p.text, text = text, nil
				all.parts = append(all.parts, p)
			}
		}
	}
	if len(text) > 0 || len(all.parts) == 0 {
		all.parts = append(all.parts, piece{text: text})
	}
	all.static = len(all.parts) == 1 && all.parts[0].what == nothing
	return all
}

func (t *template) empty() bool {
	return t.static && len(t.parts[0].text) == 0
}

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

// upper is the template of the same text in capitals, of ASCII letters alone.
func (t *template) upper() template {
	u := template{static: t.static, parts: slices.Clone(t.parts)}
	for i := range u.parts {
		u.parts[i].text = slices.Clone(t.parts[i].text)
		for j, b := range u.parts[i].text {
			if 'a' <= b && b <= 'z' {
				u.parts[i].text[j] = b - ('a' - 'A')
			}
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
	const from, to = `nrt0\"`, "\n\r\t\x00\\\""
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
		at := strings.IndexByte(from, text[i])
		if at < 0 {
			return nil, fmt.Errorf(`unescape %q: \%c is not an escape; want \n \r \t \0 \\ \" or \xHH`, cut(text, 40), text[i])
		}
		out = append(out, to[at])
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
