package systemd

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// unitText collects the lines of a unit. The zero value is empty.
type unitText struct{ b strings.Builder }

func (u *unitText) section(name string) {
	if u.b.Len() > 0 {
		u.b.WriteByte('\n')
	}
	fmt.Fprintf(&u.b, "[%s]\n", name)
}

func (u *unitText) set(key, value string) { fmt.Fprintf(&u.b, "%s=%s\n", key, value) }

// on sets keys to yes.
func (u *unitText) on(keys ...string) {
	for _, key := range keys {
		u.set(key, "yes")
	}
}

// comment writes one line, or one for each of text's.
func (u *unitText) comment(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		u.b.WriteString("# " + line + "\n")
	}
}

func (u *unitText) String() string { return u.b.String() }

// quoteWord makes one word of a list, as systemd.syntax(7) splits it.
func quoteWord(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"'\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// quoteArgument makes one argument of a command line, where a '$' would name a
// variable unless it is doubled.
func quoteArgument(word string) string { return quoteWord(strings.ReplaceAll(word, "$", "$$")) }

// breaksLine tells whether systemd would not read text as the rest of a line.
func breaksLine(text string) bool {
	return !utf8.ValidString(text) || strings.HasSuffix(text, `\`) ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// span writes d as systemd.time(7) reads it, in whole milliseconds at most.
func span(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", (d+time.Millisecond-1)/time.Millisecond)
}
