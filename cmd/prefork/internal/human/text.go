package human

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text safe for a terminal. Text from a server, a worker, a client or a
// file may have escape sequences that move the cursor, change the title or hide
// what follows: unprintable runes and bytes that are not UTF-8 become U+FFFD. Line
// breaks and tabs stay.
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

// Width returns the columns of a text, one for each rune.
func Width(text string) int { return utf8.RuneCountInString(text) }

// Cut returns text in at most so many columns, with an ellipsis at the end if
// something is missing.
func Cut(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	if columns <= 0 {
		return ""
	}
	return string([]rune(text)[:columns-1]) + "…"
}

// Wrap breaks text between words so that no line has more columns, unless a
// single word has.
func Wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) > columns:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
