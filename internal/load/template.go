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

// piece is text, and what follows it, if anything.
type piece struct {
	text    []byte
	counter bool
	width   int       // of the counter, at least
	body    *template // whose length follows
}

// newTemplate makes one part of parts that are text alone.
func newTemplate(parts ...piece) template {
	t := template{parts: parts}
	if slices.ContainsFunc(parts, func(p piece) bool { return p.counter || p.body != nil && !p.body.static }) {
		return t
	}
	return literal(t.append(nil, 0))
}

func literal(text []byte) template {
	return template{parts: []piece{{text: text}}, static: true}
}

// parseTemplate reads a template: {n} is the counter and {n:8} the counter with
// leading zeros, 20 digits at most. Any other brace stands for itself, as JSON
// has them.
func parseTemplate(text string) template {
	var parts []piece
	end := 0
	for _, at := range regexp.MustCompile(`\{n(?::(0?[1-9]|1[0-9]|20))?\}`).FindAllStringSubmatchIndex(text, -1) {
		p := piece{text: []byte(text[end:at[0]]), counter: true}
		if at[2] >= 0 {
			p.width, _ = strconv.Atoi(text[at[2]:at[3]]) // digits alone
		}
		parts = append(parts, p)
		end = at[1]
	}
	return newTemplate(append(parts, piece{text: []byte(text[end:])})...)
}

func (t *template) empty() bool {
	return t.static && len(t.parts[0].text) == 0
}

func (t *template) append(to []byte, n uint64) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		to = append(to, p.text...)
		if p.counter {
			to = appendNumber(to, n, p.width)
		}
		if p.body != nil {
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
		if t.parts[i].counter {
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
