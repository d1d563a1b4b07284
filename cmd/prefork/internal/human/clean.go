package human

import (
	"strings"
	"unicode"
)

// Clean returns text as a terminal may be given it. Text that comes from a
// server, a worker, a client or a file may hold escape sequences, which would
// move the cursor, change the title or hide what follows: everything that does
// not print becomes U+FFFD, bytes that are not UTF-8 too. Line breaks and tabs
// stay.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// CleanLine is Clean for a text that must stay on one line: line breaks and
// tabs become spaces.
func CleanLine(text string) string {
	return Clean(oneLine.Replace(text))
}

var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ")
