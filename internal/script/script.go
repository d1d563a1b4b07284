// Package script writes structs as lines of text and reads them back: the name of the type, and
// key=value for each field. The master's debug log has its events in this form, so that a test
// can replay it against package policy.
//
//	spawned id=3 pid=4711
//	sampled waiting id=3 active=1 served=20 id=4 silent=31s
//
// The fields of a struct in a struct, and of the structs in a slice, follow as if they were the
// outer one's. A field with its zero value is left out, unless it is called ID or has the tag
// `script:"always"`. The fields are numbers, texts, bools, durations and such structs.
package script

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Name returns how a line for v begins: spawn-failed for a SpawnFailed.
func Name(v any) string {
	if v == nil {
		return "nothing"
	}
	return kebab(reflect.TypeOf(v).Name())
}

// Format writes v, which is a struct, a fmt.Stringer or nil, as one line.
func Format(v any) string {
	if s, ok := v.(fmt.Stringer); ok {
		return s.String()
	}
	if v == nil {
		return Name(v)
	}
	return strings.Join(appendFields([]string{Name(v)}, reflect.ValueOf(v)), " ")
}

func appendFields(line []string, v reflect.Value) []string {
	for field, value := range v.Fields() {
		key := kebab(field.Name)
		switch kind := value.Kind(); {
		case kind == reflect.Struct:
			line = appendFields(line, value)
		case kind == reflect.Slice:
			for i := range value.Len() {
				line = appendFields(line, value.Index(i))
			}
		case value.IsZero() && key != "id" && field.Tag.Get("script") != "always":
		case kind == reflect.Bool:
			line = append(line, key)
		case kind == reflect.String:
			line = append(line, key+"="+strconv.Quote(value.String()))
		default:
			line = append(line, fmt.Sprint(key, "=", value.Interface()))
		}
	}
	return line
}

// kebab writes a Go name as a key: RecycleRSS as recycle-rss.
func kebab(name string) string {
	var b strings.Builder
	lower := false // the letter before was
	for _, r := range name {
		if lower && unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// ErrLine is wrapped by the errors of Parse.
var ErrLine = errors.New("bad script line")

// Parse reads what Format wrote of a value of one of these types.
func Parse(line string, types ...any) (any, error) {
	name, words, err := split(line)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(types, func(t any) bool { return Name(t) == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: unknown name %q", ErrLine, name)
	}
	v := reflect.New(reflect.TypeOf(types[i])).Elem()
	hasID := !v.FieldByName("ID").IsValid()
	for _, w := range words {
		field := find(v, w.key)
		if !field.IsValid() {
			return nil, fmt.Errorf("%w: %q has no %q", ErrLine, name, w.key)
		}
		if err := set(field, w.value); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrLine, w.key, err)
		}
		hasID = hasID || w.key == "id"
	}
	if !hasID {
		return nil, fmt.Errorf("%w: %q needs id=N", ErrLine, name)
	}
	return v.Interface(), nil
}

// find returns the field with that key. An ID begins another element of a slice.
func find(v reflect.Value, key string) (found reflect.Value) {
	for field, value := range v.Fields() {
		switch kind := value.Kind(); {
		case kind == reflect.Struct:
			found = find(value, key)
		case kind == reflect.Slice:
			if key == "id" {
				value.Set(reflect.Append(value, reflect.Zero(value.Type().Elem())))
			}
			if n := value.Len(); n > 0 {
				found = find(value.Index(n-1), key)
			}
		case kebab(field.Name) == key:
			found = value
		}
		if found.IsValid() {
			return found
		}
	}
	return found
}

func set(field reflect.Value, text string) (err error) {
	bits := 64
	switch field.Kind() {
	case reflect.Bool:
		field.SetBool(true)
	case reflect.String:
		field.SetString(text)
	case reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(text, bits)
		field.SetFloat(f)
	case reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(text, 10, bits)
		field.SetUint(n)
	default:
		var n int64
		if field.Type() == reflect.TypeFor[time.Duration]() {
			var d time.Duration
			d, err = time.ParseDuration(text)
			n = int64(d)
		} else {
			n, err = strconv.ParseInt(text, 10, bits)
		}
		field.SetInt(n)
	}
	return err
}

// word is one word of a line. The value is empty for a bool.
type word struct{ key, value string }

func split(line string) (name string, words []word, err error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		end := strings.IndexAny(rest, "= ")
		if end < 0 {
			end = len(rest)
		}
		w := word{key: rest[:end]}
		rest = rest[end:]
		value, has := strings.CutPrefix(rest, "=")
		switch {
		case !has:
		case strings.HasPrefix(value, `"`):
			quoted, err := strconv.QuotedPrefix(value)
			if err != nil {
				return "", nil, fmt.Errorf("%w: %q has no end: %w", ErrLine, value, err)
			}
			rest = value[len(quoted):]
			if w.value, err = strconv.Unquote(quoted); err != nil {
				return "", nil, fmt.Errorf("%w: %s: %w", ErrLine, quoted, err)
			}
		default:
			w.value, rest, _ = strings.Cut(value, " ")
		}
		words = append(words, w)
	}
	return name, words, nil
}
