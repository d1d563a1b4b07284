package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

// document is a parsed file: its values, and the line of each of its keys.
type document struct {
	values map[string]any
	lines  map[string]int // by path, see pathOf
}

// pathOf joins the parts of a key. NUL cannot be part of one, so that a quoted
// "a.b" is not mistaken for b in a.
func pathOf(parts ...string) string { return strings.Join(parts, "\x00") }

// line returns where the key stands, or 0 if the file does not have it. Of a key
// in an inline table the parser tells only the name.
func (d *document) line(parts ...string) int {
	if line := d.lines[pathOf(parts...)]; line > 0 {
		return line
	}
	return d.lines[parts[len(parts)-1]]
}

// maxKeys bounds a file: finding the lines of n keys costs n times its length.
const maxKeys = 1000

// newDocument reads text that is valid TOML. The error is the parser's.
func newDocument(text []byte) (*document, error) {
	d := &document{values: map[string]any{}, lines: map[string]int{}}
	if err := toml.Unmarshal(text, &d.values); err != nil {
		return nil, err
	}
	if n := count(d.values); n > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	d.note(text, &struct{}{})
	var tables []reflect.StructField
	for i, name := range append(Tables(), OptionsTable) {
		if _, isTable := d.values[name].(map[string]any); isTable {
			tables = append(tables, reflect.StructField{
				Name: fmt.Sprintf("Table%d", i), Type: reflect.TypeFor[struct{}](), Tag: reflect.StructTag(`toml:"` + name + `"`),
			})
		}
	}
	d.note(text, reflect.New(reflect.StructOf(tables)).Interface())
	return d, nil
}

// note notes the lines of the tables and keys that target has no field for: a
// strict decoder reports them all. It looks into no table that target lacks.
func (d *document) note(text []byte, target any) {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(target)
	var unknown *toml.StrictMissingError
	if !errors.As(err, &unknown) {
		return
	}
	for _, e := range unknown.Errors {
		line, _ := e.Position()
		for depth := range min(len(e.Key()), 3) { // the dots of a key open tables
			if at := pathOf(e.Key()[:depth+1]...); d.lines[at] == 0 {
				d.lines[at] = line
			}
		}
	}
}

// count returns how many keys there are, in all tables.
func count(table map[string]any) int {
	n := len(table)
	for _, v := range table {
		if sub, ok := v.(map[string]any); ok {
			n += count(sub)
		}
	}
	return n
}

// maxSyntaxProblems ends the search for more in a file that is no TOML at all.
const maxSyntaxProblems = 20

// parseDocument reads TOML. A broken line that stands for itself is reported
// and left out, so that the rest can be looked at. Where it cannot be told how
// far the damage reaches, the document is what stands before it, or nil.
func parseDocument(file string, text []byte) (*document, Problems) {
	var problems Problems
	add := func(line int, what string) { problems = append(problems, Problem{file, line, what}) }
	// A byte order mark says nothing in UTF-8, and some editors write it.
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	text = bytes.Clone(text) // broken lines are blanked below
	for {
		doc, err := newDocument(text)
		if err == nil {
			return doc, problems
		}
		var decode *toml.DecodeError
		if !errors.As(err, &decode) {
			add(1, trimTOML(err))
			return nil, problems
		}
		line, _ := decode.Position()
		what := trimTOML(err)
		if strings.Contains(what, "already") && len(decode.Key()) > 0 {
			if doc, _ := before(text, line); doc != nil && doc.line(decode.Key()...) > 0 {
				what += " on line " + strconv.Itoa(doc.line(decode.Key()...))
			}
		}
		if len(problems) < maxSyntaxProblems && blankLine(text, line, what) {
			add(line, what)
			continue
		}
		doc, begin := before(text, line)
		if doc != nil && begin < line {
			what += "; what is wrong begins on line " + strconv.Itoa(begin)
		}
		add(line, what)
		return doc, problems
	}
}

// maxBack bounds the lines that a broken value may have before its error.
const maxBack = 64

// before returns the document of the lines before the statement that holds the
// broken line, and where that statement begins.
func before(text []byte, line int) (*document, int) {
	for begin := line; begin > max(0, line-maxBack); begin-- {
		end, _ := lineAt(text, begin)
		if doc, err := newDocument(text[:end]); err == nil {
			return doc, begin
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
