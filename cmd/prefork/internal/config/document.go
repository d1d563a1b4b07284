package config

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a parsed file: its values, and the line of each of its keys.
type document struct {
	values map[string]any
	lines  map[string]int // by path, see pathOf
}

// pathOf joins the parts of a key. NUL cannot be part of one, so that a quoted
// "a.b" is not mistaken for b in a.
func pathOf(parts ...string) string { return strings.Join(parts, "\x00") }

// line returns where the key stands, or 0 if the file does not have it.
func (d *document) line(parts ...string) int { return d.lines[pathOf(parts...)] }

// maxSyntaxProblems ends the search for more in a file that is no TOML at all.
const maxSyntaxProblems = 20

// parseDocument reads TOML. A broken line that stands for itself is reported
// and left out, so that the rest can be looked at. Where it cannot be told how
// far the damage reaches, the document is what stands before it, or nil.
func parseDocument(text []byte) (*document, []Problem) {
	var problems []Problem
	// A byte order mark says nothing in UTF-8, and some editors write it.
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	text = bytes.Clone(text) // broken lines are blanked below
	for {
		values := map[string]any{}
		err := toml.Unmarshal(text, &values)
		if err == nil {
			return &document{values: values, lines: keyLines(text)}, problems
		}
		var decode *toml.DecodeError
		if !errors.As(err, &decode) {
			return nil, append(problems, Problem{Line: 1, What: trimTOML(err)})
		}
		line, _ := decode.Position()
		what := trimTOML(err)
		if n := firstLine(text, decode.Key()); n > 0 && strings.Contains(what, "already") {
			what += " on line " + itoa(n)
		}
		if len(problems) < maxSyntaxProblems && blankLine(text, line, what) {
			problems = append(problems, Problem{Line: line, What: what})
			continue
		}
		doc, begin := before(text, line)
		if doc != nil && begin < line {
			what += "; what is wrong begins on line " + itoa(begin)
		}
		return doc, append(problems, Problem{Line: line, What: what})
	}
}

// maxBack bounds the lines that a broken value may have before its error.
const maxBack = 64

// before returns the document of the lines before the statement that holds the
// broken line, and where that statement begins.
func before(text []byte, line int) (*document, int) {
	for begin := line; begin > max(0, line-maxBack); begin-- {
		end, _ := lineAt(text, begin)
		values := map[string]any{}
		if toml.Unmarshal(text[:end], &values) == nil {
			return &document{values: values, lines: keyLines(text[:end])}, begin
		}
	}
	return nil, 0
}

// lineAt returns where a line begins and where its line feed is, counting
// lines from 1.
func lineAt(text []byte, line int) (begin, end int) {
	for range line - 1 {
		next := bytes.IndexByte(text[begin:], '\n')
		if next < 0 {
			return len(text), len(text)
		}
		begin += next + 1
	}
	end = len(text)
	if n := bytes.IndexByte(text[begin:], '\n'); n >= 0 {
		end = begin + n
	}
	return begin, end
}

// trimTOML returns the parser's words, or clearer ones for what happens most.
func trimTOML(err error) string {
	what := strings.TrimPrefix(err.Error(), "toml: ")
	if what == "unexpected character U+000A at start of value" {
		return "a value is missing after ="
	}
	return what
}

// statement matches the beginning of a line that sets a key or opens a table.
// Workers start with this program's packages and have no use for it.
var statement = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*(\[|["']?[A-Za-z0-9_-]+["']?\s*(=|\.|$))`)
})

// blankLine overwrites a line with spaces if it is a broken statement that
// ends where it begins. What it reports decides whether parsing goes on.
func blankLine(text []byte, line int, what string) bool {
	begin, end := lineAt(text, line)
	broken := text[begin:end]
	if !statement().Match(broken) {
		return false
	}
	if toml.Unmarshal(broken, &map[string]any{}) == nil && !strings.Contains(what, "already") {
		return false // nothing is wrong with the line: the cause is before it
	}
	for i := range broken {
		broken[i] = ' '
	}
	return true
}

// keyLines returns the line of each key and table. The text is valid, or its
// valid beginning is what is wanted.
func keyLines(text []byte) map[string]int {
	ix := index{lines: map[string]int{}}
	for i, b := range text {
		if b == '\n' {
			ix.newlines = append(ix.newlines, uint32(i))
		}
	}
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = ix.key(nil, e)
		case unstable.KeyValue:
			ix.inline(ix.key(table, e), e.Value())
		}
	}
	return ix.lines
}

// index is built by keyLines.
type index struct {
	newlines []uint32 // offsets
	lines    map[string]int
}

// depth is how many parts of a key are told apart: [options], name and one
// more. It keeps the index small whatever the file holds.
const depth = 3

// key notes the first line of a node's dotted key, and of the tables that its
// dots open, and returns its path.
func (ix *index) key(table []string, n *unstable.Node) []string {
	path := table[:len(table):len(table)]
	for it := n.Key(); it.Next() && len(path) < depth; {
		k := it.Node()
		path = append(path, string(k.Data))
		if at := pathOf(path...); ix.lines[at] == 0 {
			line, _ := slices.BinarySearch(ix.newlines, k.Raw.Offset)
			ix.lines[at] = line + 1
		}
	}
	return path
}

// inline notes the keys of an inline table.
func (ix *index) inline(path []string, v *unstable.Node) {
	if v.Kind != unstable.InlineTable || len(path) >= depth {
		return
	}
	for it := v.Children(); it.Next(); {
		if kv := it.Node(); kv.Kind == unstable.KeyValue {
			ix.inline(ix.key(path, kv), kv.Value())
		}
	}
}

// firstLine returns the first line that sets a key, in a text that may be
// broken further down.
func firstLine(text []byte, key []string) int {
	if len(key) == 0 {
		return 0
	}
	return keyLines(text)[pathOf(key...)]
}
