package unit

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// values are what a template is filled with. A condition that holds has a
// value, one that does not has none.
type values map[string][]string

// expand fills in a template. A line "@ if a and not b" keeps what follows it,
// up to the next line of that kind, only if a has a value and b has none. A
// line with {name} stands once for each value of name. (text/template would do,
// but it calls methods by name, so the linker keeps every method of every type:
// the binary would grow by 15 %.)
func expand(text string, v values) string {
	var b strings.Builder
	stands := true
	for line := range strings.Lines(text) {
		if conditions, ok := strings.CutPrefix(line, "@ "); ok {
			stands = v.hold(strings.TrimSpace(conditions))
		} else if stands {
			v.write(&b, line)
		}
	}
	return b.String()
}

func (v values) hold(conditions string) bool {
	conditions, ok := strings.CutPrefix(conditions, "if ")
	if !ok {
		return true // always
	}
	for condition := range strings.SplitSeq(conditions, " and ") {
		name, not := strings.CutPrefix(condition, "not ")
		if (len(v[name]) > 0) == not {
			return false
		}
	}
	return true
}

func (v values) write(b *strings.Builder, line string) {
	times := 1
	for name, list := range v {
		if len(list) != 1 && strings.Contains(line, "{"+name+"}") {
			times = len(list)
		}
	}
	for i := range times {
		var pairs []string
		for name, list := range v {
			if len(list) > 0 {
				pairs = append(pairs, "{"+name+"}", list[min(i, len(list)-1)])
			}
		}
		b.WriteString(strings.NewReplacer(pairs...).Replace(line))
	}
}

// only makes a condition.
func only(holds bool) []string {
	if holds {
		return []string{""}
	}
	return nil
}

// given is a list of what is not empty.
func given(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// quoted makes a word of each text.
func quoted(texts ...string) []string {
	words := make([]string, len(texts))
	for i, text := range texts {
		words[i] = quoteWord(text)
	}
	return words
}

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

// seconds writes d as systemd.time(7) reads it, in whole milliseconds at most.
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", (d+time.Millisecond-1)/time.Millisecond)
}

// problems collects what is wrong with a unit.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) name(name string) {
	if !validName(name) {
		p.add("name %q: want letters, digits and any of \"_.-\"", name)
	}
}

// lines adds the texts that systemd would not read as the rest of a line.
func (p *problems) lines(texts ...string) {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.HasSuffix(text, `\`) ||
			strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			p.add("%q has a control character, a backslash at its end, or is not UTF-8", text)
		}
	}
}

func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-", r)
	})
}
