// Package setting reads the one table of settings: the struct tags of
// prefork.Config, of the daemon's own keys, and of the handlers' options. A tag
// says what the name and the type of its field do not.
//
//	key      the key, if it is not the field's name in snake case
//	table    on a struct: the table of the file that holds its fields; or on a field
//	value    the placeholder of the value in help texts
//	help     one line about the key; a field without it is not a key of the file
//	choices  the valid words, separated by commas
//	min, max the bounds of a number, as the file would say them
//	never    the value in the file that is none or never, "0s"; a negative one in Go
//	not      the field is the opposite of the key
//	fixed    a reload cannot change the key
//
// Only the master and the command line read it: a worker pays nothing for it.
package setting

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"prefork/internal/value"
)

// Setting is one field of a struct of settings.
type Setting struct {
	Key     string
	Table   string // "" is the top of the file
	Value   string // the placeholder: DURATION, N, BOOL, SIZE, PATH, ...
	Help    string
	Choices []string
	Never   bool
	Not     bool
	Fixed   bool

	min, max string
	index    []int
}

// Of lists the fields of a struct type, those of the structs in it included.
func Of(t reflect.Type) []Setting { return list(nil, t, "", nil) }

func list(all []Setting, t reflect.Type, table string, index []int) []Setting {
	for f := range t.Fields() {
		in, at := table, append(slices.Clip(index), f.Index...)
		if name, ok := f.Tag.Lookup("table"); ok {
			in = name
		}
		if f.Type.Kind() == reflect.Struct {
			all = list(all, f.Type, in, at)
			continue
		}
		s := Setting{
			Key: f.Tag.Get("key"), Table: in, Value: f.Tag.Get("value"), Help: f.Tag.Get("help"),
			Never: f.Tag.Get("never") != "", Not: f.Tag.Get("not") != "", Fixed: f.Tag.Get("fixed") != "",
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), index: at,
		}
		if s.Key == "" {
			s.Key = snake(f.Name)
		}
		if s.Value == "" {
			s.Value = placeholder(f.Type)
		}
		if words := f.Tag.Get("choices"); words != "" {
			s.Choices = strings.Split(words, ",")
		}
		all = append(all, s)
	}
	return all
}

// Flag returns the name of the key's flag, without the leading dashes.
func (s *Setting) Flag() string { return strings.ReplaceAll(s.Key, "_", "-") }

// In returns the field of v, a struct of the type that was listed.
func (s *Setting) In(v reflect.Value) reflect.Value { return v.FieldByIndex(s.index) }

// maxDuration keeps deadlines far from the end of int64 nanoseconds.
const maxDuration = 10 * 365 * 24 * time.Hour

// Check returns what is wrong with a value of the field: a word that is not one
// of the choices, or a number outside the bounds.
func (s *Setting) Check(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		if s.Choices != nil && !slices.Contains(s.Choices, v.String()) {
			return fmt.Errorf("unknown %s %q; want %s", strings.ReplaceAll(s.Key, "_", " "), v, value.OneOf(s.Choices))
		}
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64:
		n := v.Convert(reflect.TypeFor[float64]()).Float()
		if low := s.bound(s.min, 0); !(n >= low) { // nor is NaN
			return fmt.Errorf("at least %s, not %s", s.Text(reflect.ValueOf(low).Convert(v.Type())), s.Text(v))
		}
		most := math.Inf(1)
		if v.Type() == reflect.TypeFor[time.Duration]() {
			most = float64(maxDuration)
		}
		if high := s.bound(s.max, most); n > high {
			return fmt.Errorf("at most %s, not %s", s.Text(reflect.ValueOf(high).Convert(v.Type())), s.Text(v))
		}
	}
	return nil
}

// bound reads a bound as the file would say it.
func (s *Setting) bound(text string, otherwise float64) float64 {
	if d, err := time.ParseDuration(text); err == nil {
		return float64(d)
	}
	if size, err := value.ParseSize(text); err == nil {
		return float64(size)
	}
	return otherwise
}

// Text returns a number as a person writes it.
func (s *Setting) Text(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return value.DurationText(d)
	}
	if s.Value == "SIZE" {
		return value.Size(v.Uint()).String()
	}
	return fmt.Sprint(v)
}

func placeholder(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "DURATION"
	case reflect.TypeFor[value.Size]():
		return "SIZE"
	}
	if t.Kind() == reflect.Bool {
		return "BOOL"
	}
	return "N"
}

// snake writes a field's name as a key: pid_file for PIDFile.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		begins := unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
