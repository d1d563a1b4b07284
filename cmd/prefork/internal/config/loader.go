package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"prefork/cmd/prefork/internal/nearest"
)

// Load reads the file, puts the flags over it and looks at what it all means.
// file may be empty, flags nil. The error is a Problems with everything that
// is wrong, and then the Config must not be used.
func Load(file string, flags *Flags) (Config, error) {
	if file == "" {
		return Parse("", nil, flags)
	}
	text, err := read(file)
	if err != nil {
		return Config{}, Problems{{File: file, What: err.Error()}}
	}
	return Parse(file, text, flags)
}

// Parse is Load with the text of the file.
func Parse(file string, text []byte, flags *Flags) (Config, error) {
	l := loader{
		file: file, config: Default(), options: map[string]any{},
		keys: map[string]Key{}, origin: map[string]origin{}, bad: map[string]bool{},
	}
	for _, k := range Keys() {
		l.keys[k.Key] = k
	}
	var doc *document
	doc, l.problems = parseDocument(file, text)
	if doc == nil {
		return Config{}, l.problems.sorted()
	}
	l.document(doc)
	l.flags(flags)
	l.validate()
	if err := l.problems.sorted(); err != nil {
		return Config{}, err
	}
	return l.config, nil
}

// maxFile bounds what is read: far more than any configuration has.
const maxFile = 1 << 20

func read(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would wait for a writer
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	return readSteady(f)
}

// readSteady returns the text of a file that does not change meanwhile. An empty
// file is refused: it is most likely being written, and would mean that the
// server leaves its addresses for the default one.
func readSteady(f interface {
	io.Reader
	Stat() (fs.FileInfo, error)
}) ([]byte, error) {
	before, err := f.Stat()
	if err != nil {
		return nil, reason(err)
	}
	if !before.Mode().IsRegular() {
		// A pipe or a terminal would be empty when a reload reads it again.
		return nil, errors.New("not a regular file, which a reload could read again")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, reason(err)
	}
	after, err := f.Stat()
	switch {
	case err != nil:
		return nil, reason(err)
	case after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()):
		return nil, errors.New("was changed while it was read; try again")
	case len(text) > maxFile:
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	case len(bytes.Trim(text, "\ufeff \t\r\n")) == 0:
		return nil, errors.New("is empty; for the defaults write a comment, such as # defaults")
	}
	return text, nil
}

// reason drops the path from a file error, for the problem names it.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// origin is where a value came from; the zero value is the default.
type origin struct {
	line int    // in the file
	flag string // with its dashes
}

// loader is the state of one Parse.
type loader struct {
	file     string
	keys     map[string]Key
	config   Config
	options  map[string]any    // of the handler, as they were written
	origin   map[string]origin // by key, or "options" NUL name
	bad      map[string]bool   // keys whose value could not be read
	problems Problems
	deep     bool // see Flags
}

// add notes a problem with the file itself.
func (l *loader) add(line int, format string, args ...any) {
	l.problems = append(l.problems, Problem{File: l.file, Line: line, What: fmt.Sprintf(format, args...)})
}

// blame notes a problem with the value of a key, wherever it came from.
func (l *loader) blame(key, what string) {
	o := l.origin[key]
	if o.flag != "" {
		l.problems = append(l.problems, Problem{What: o.flag + ": " + what})
		return
	}
	l.add(o.line, "%s: %s", key, what)
}

// document takes what the file says.
func (l *loader) document(doc *document) {
	for _, name := range slices.Sorted(maps.Keys(doc.values)) {
		v, line := doc.values[name], doc.line(name)
		table, isTable := v.(map[string]any)
		switch k, known := l.keys[name]; {
		case known:
			l.assign(k, v, line)
		case name != OptionsTable && !slices.Contains(Tables(), name):
			l.unknown(name, "", line, isTable)
		case !isTable:
			l.add(line, "%s is a table: write [%s] and its keys below", name, name)
		case name == OptionsTable:
			l.options = table
			for option := range table {
				l.origin[pathOf(OptionsTable, option)] = origin{line: doc.line(OptionsTable, option)}
			}
			l.origin[OptionsTable] = origin{line: line}
		default:
			l.table(doc, name, table)
		}
	}
}

// table takes the keys of one table of the file.
func (l *loader) table(doc *document, name string, table map[string]any) {
	for _, sub := range slices.Sorted(maps.Keys(table)) {
		v, line := table[sub], doc.line(name, sub)
		_, isTable := v.(map[string]any)
		switch k, known := l.keys[sub]; {
		case !known:
			l.unknown(sub, name, line, isTable)
		case k.Table == name:
			l.assign(k, v, line)
		default:
			l.add(line, "%s does not belong in [%s]; it goes %s", sub, name, place(k))
		}
	}
}

// assign takes one key of the file.
func (l *loader) assign(k Key, v any, line int) {
	if first := l.origin[k.Key].line; first > 0 {
		l.bad[k.Key] = true
		l.add(max(first, line), "%s is set twice, also on line %d", k.Key, min(first, line))
		return
	}
	l.origin[k.Key] = origin{line: line}
	if err := l.config.set(&k, v); err != nil {
		l.bad[k.Key] = true
		l.add(line, "%s: %v", k.Key, err)
	}
}

// unknown notes a key that there is not, with the nearest that there is.
func (l *loader) unknown(name, table string, line int, isTable bool) {
	if isTable && table == "" {
		l.add(line, "unknown table [%s]%s", name, nearest.Hint(name, append(Tables(), OptionsTable)))
		return
	}
	where := ""
	var near, all []string
	for _, k := range Keys() {
		all = append(all, k.Key)
		if k.Table == table {
			near = append(near, k.Key)
		}
	}
	if table != "" {
		where = " in [" + table + "]"
	}
	hint := nearest.Hint(name, near)
	if hint == "" {
		hint = nearest.Hint(name, slices.Concat(all, Tables(), []string{OptionsTable}))
	}
	if h, ok := LookupHandler(l.config.Handler); ok && hint == "" && slices.Contains(keyNames(h.Options()), name) {
		hint = fmt.Sprintf("; options of the handler %s go in [%s]", h.Name, OptionsTable)
	}
	l.add(line, "unknown key %q%s%s", name, where, hint)
}

// flags puts the command line over the file.
func (l *loader) flags(f *Flags) {
	if f == nil {
		return
	}
	l.deep = f.Deep
	fromFile := l.config.Handler
	for _, k := range Keys() {
		texts := f.texts[k.Key]
		if len(texts) == 0 {
			continue
		}
		l.origin[k.Key] = origin{flag: "--" + k.Flag()}
		delete(l.bad, k.Key)
		var v any = texts[len(texts)-1]
		if k.Key == "listen" {
			v = texts
		}
		if err := l.config.set(&k, v); err != nil {
			l.bad[k.Key] = true
			l.blame(k.Key, err.Error())
		}
	}
	if l.config.Handler != fromFile {
		clear(l.options) // they are another handler's
	}
	for name, text := range f.options {
		l.options[name] = text
		l.origin[pathOf(OptionsTable, name)] = origin{flag: "--option " + name}
	}
}
