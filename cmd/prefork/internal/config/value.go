package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"prefork/cmd/prefork/internal/nearest"
	"prefork/internal/value"
)

// set stores a decoded TOML value in the key's field, or says why it is not
// one. The field is changed only if it is.
func (k Key) set(c *Config, v any) error {
	switch field := k.field(c).(type) {
	case *string:
		return k.setString(field, v)
	case *[]string:
		return setList(field, v)
	case *bool:
		b, ok := v.(bool)
		if !ok {
			return value.Wrong("true or false", v)
		}
		*field = b
	case *int:
		return setWhole(k, field, v)
	case *uint64:
		return setWhole(k, field, v)
	case *float64:
		return k.setFloat(field, v)
	case *time.Duration:
		return k.setDuration(field, v)
	case *value.Size:
		size, err := value.ParseSize(v)
		if err == nil {
			*field = size
		}
		return err
	case *Workers:
		return setWorkers(field, v)
	default:
		return fmt.Errorf("no rule for a field of type %T", field)
	}
	return nil
}

// setText stores what was written on a command line. A list takes several
// texts, everything else the last.
func (k Key) setText(c *Config, texts ...string) error {
	if len(texts) == 0 {
		return errors.New("no value")
	}
	text := texts[len(texts)-1]
	var v any = text
	switch k.field(c).(type) {
	case *[]string:
		list := make([]any, len(texts))
		for i, t := range texts {
			list[i] = t
		}
		v = list
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return value.Wrong("true or false", text)
		}
		v = b
	case *int, *uint64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return value.Wrong("a whole number", text)
		}
		v = n
	case *float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return value.Wrong("a number", text)
		}
		v = f
	}
	return k.set(c, v)
}

// defaults returns the default as setText takes it.
func (k Key) defaults() []string {
	s := strings.Trim(k.Default, "[]")
	return []string{strings.Trim(s, `"`)}
}

// Text returns the key's value in c as the file would say it.
func (k Key) Text(c *Config) string {
	switch field := k.field(c).(type) {
	case *string:
		return quote(*field)
	case *[]string:
		quoted := make([]string, len(*field))
		for i, s := range *field {
			quoted[i] = quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case *float64:
		s := strconv.FormatFloat(*field, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case *time.Duration:
		return quote(value.DurationText(*field))
	case *value.Size:
		return quote(field.String())
	case *Workers:
		if field.Min == field.Max && field.Min > 0 {
			return strconv.Itoa(field.Min)
		}
		return quote(field.String())
	case *bool:
		return strconv.FormatBool(*field)
	case *int:
		return strconv.Itoa(*field)
	case *uint64:
		return strconv.FormatUint(*field, 10)
	}
	return ""
}

func (k Key) setString(field *string, v any) error {
	s, ok := v.(string)
	if !ok {
		return value.Wrong("a string", v)
	}
	if strings.ContainsRune(s, 0) {
		return errors.New("a NUL byte is in the string")
	}
	if len(k.choice) > 0 && !slices.Contains(k.choice, s) {
		return fmt.Errorf("unknown %s %q%s", strings.ReplaceAll(k.Name, "_", " "), s, suggest(s, k.choice))
	}
	*field = s
	return nil
}

func setList(field *[]string, v any) error {
	if s, ok := v.(string); ok { // one address needs no brackets
		v = []any{s}
	}
	list, ok := v.([]any)
	if !ok {
		return value.Wrong("a list of strings", v)
	}
	if len(list) == 0 {
		return errors.New("the list is empty")
	}
	out := make([]string, len(list))
	for i, e := range list {
		s, ok := e.(string)
		if !ok {
			return value.Wrong("a list of strings", e)
		}
		out[i] = s
	}
	*field = out
	return nil
}

func setWhole[T int | uint64](k Key, field *T, v any) error {
	n, ok := v.(int64)
	if !ok {
		return value.Wrong("a whole number", v)
	}
	if err := k.bounds(n, func(n int64) string { return strconv.FormatInt(n, 10) }); err != nil {
		return err
	}
	*field = T(n)
	return nil
}

func (k Key) setFloat(field *float64, v any) error {
	f, ok := v.(float64)
	if n, whole := v.(int64); whole {
		f, ok = float64(n), true
	}
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return value.Wrong("a number", v)
	}
	if f < float64(k.min) {
		return fmt.Errorf("at least %d, not %v", k.min, f)
	}
	if k.max > 0 && f > float64(k.max) {
		return fmt.Errorf("at most %d, not %v", k.max, f)
	}
	*field = f
	return nil
}

// maxDuration keeps deadlines far from the end of int64 nanoseconds.
const maxDuration = 10 * 365 * 24 * time.Hour

func (k Key) setDuration(field *time.Duration, v any) error {
	d, err := value.ParseDuration(v)
	if err != nil {
		return err
	}
	if k.max == 0 {
		k.max = int64(maxDuration)
	}
	if err := k.bounds(int64(d), func(n int64) string { return value.DurationText(time.Duration(n)) }); err != nil {
		return err
	}
	*field = d
	return nil
}

func setWorkers(field *Workers, v any) error {
	var s string
	switch v := v.(type) {
	case int64:
		if v < 1 {
			return fmt.Errorf("at least 1 worker is needed, not %d", v)
		}
		s = strconv.FormatInt(v, 10)
	case string:
		s = v
	default:
		return value.Wrong(`a number, "auto" or "MIN-MAX"`, v)
	}
	w, err := parseWorkers(s)
	if err != nil {
		return err
	}
	*field = w
	return nil
}

func (k Key) bounds(n int64, text func(int64) string) error {
	if n < k.min {
		return fmt.Errorf("at least %s, not %s", text(k.min), text(n))
	}
	if k.max > 0 && n > k.max {
		return fmt.Errorf("at most %s, not %s", text(k.max), text(n))
	}
	return nil
}

// suggest ends an "unknown" sentence: with the nearest word, or with all.
func suggest(word string, valid []string) string {
	if hint := nearest.Hint(word, valid); hint != "" {
		return hint
	}
	return "; want " + oneOf(valid)
}

func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
