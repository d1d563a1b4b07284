package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"prefork/internal/script"
)

// errLine is wrapped by the errors of parseLine.
var errLine = errors.New("bad script line")

// parseLine reads what script.Format wrote of a value of one of these types.
func parseLine(line string, types ...any) (any, error) {
	name, words, err := splitLine(line)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(types, func(t any) bool { return script.Name(t) == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: unknown name %q", errLine, name)
	}
	v := reflect.New(reflect.TypeOf(types[i])).Elem()
	hasID := !v.FieldByName("ID").IsValid()
	for _, w := range words {
		field := findField(v, w.key)
		if !field.IsValid() {
			return nil, fmt.Errorf("%w: %q has no %q", errLine, name, w.key)
		}
		if err := setField(field, w.value); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errLine, w.key, err)
		}
		hasID = hasID || w.key == "id"
	}
	if !hasID {
		return nil, fmt.Errorf("%w: %q needs id=N", errLine, name)
	}
	return v.Interface(), nil
}

// findField returns the field with that key. An ID begins another element of a slice.
func findField(v reflect.Value, key string) (found reflect.Value) {
	for field, value := range v.Fields() {
		switch kind := value.Kind(); {
		case kind == reflect.Struct:
			found = findField(value, key)
		case kind == reflect.Slice:
			if key == "id" {
				value.Set(reflect.Append(value, reflect.Zero(value.Type().Elem())))
			}
			if n := value.Len(); n > 0 {
				found = findField(value.Index(n-1), key)
			}
		case script.Key(field.Name) == key:
			found = value
		}
		if found.IsValid() {
			return found
		}
	}
	return found
}

func setField(field reflect.Value, text string) (err error) {
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

func splitLine(line string) (name string, words []word, err error) {
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
				return "", nil, fmt.Errorf("%w: %q has no end: %w", errLine, value, err)
			}
			rest = value[len(quoted):]
			if w.value, err = strconv.Unquote(quoted); err != nil {
				return "", nil, fmt.Errorf("%w: %s: %w", errLine, quoted, err)
			}
		default:
			w.value, rest, _ = strings.Cut(value, " ")
		}
		words = append(words, w)
	}
	return name, words, nil
}
