package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"prefork"
	"prefork/cmd/prefork/internal/nearest"
	"prefork/internal/value"
	"prefork/worker"
)

// set stores what the file or a flag says in the key's field, or says why it
// cannot. The field is changed only if it can.
func (c *Config) set(k *Key, v any) error {
	if k.Key == "workers" {
		return setWorkers(&c.Config, v, k)
	}
	return set(k, k.In(reflect.ValueOf(c).Elem()), v)
}

// set is Config.set for any field. Every kind of value may also be a text, as a
// flag's is.
func set(k *Key, field reflect.Value, v any) error {
	x := reflect.New(field.Type()).Elem()
	if err := parse(k, x, v); err != nil {
		return err
	}
	if k.Never && x.IsZero() {
		x.SetInt(worker.Disabled) // 0 is the default in the library
	} else if err := k.Check(x); err != nil {
		if hint := nearest.Hint(x.String(), k.Choices); hint != "" {
			return fmt.Errorf("unknown %s %q%s", strings.ReplaceAll(k.Key, "_", " "), x, hint)
		}
		return err
	}
	field.Set(x)
	return nil
}

// parse reads v into x, a new value of the field's type.
func parse(k *Key, x reflect.Value, v any) error {
	s, isText := v.(string)
	switch to := x.Addr().Interface().(type) {
	case *time.Duration:
		d, err := value.ParseDuration(v)
		*to = d
		return err
	case *[]string:
		return parseList(to, v)
	case *bool:
		b, ok := scalar(v, strconv.ParseBool)
		if !ok {
			return value.Wrong("true or false", v)
		}
		*to = b != k.Not
		return nil
	case *float64:
		return parseFloat(to, v)
	}
	switch {
	case x.Kind() == reflect.String:
		if !isText {
			return value.Wrong("a string", v)
		}
		if strings.ContainsRune(s, 0) {
			return errors.New("a NUL byte is in the string")
		}
		x.SetString(s)
	case k.Value == "SIZE":
		size, err := value.ParseSize(v)
		x.SetUint(uint64(size))
		return err
	default:
		return parseWhole(x, v)
	}
	return nil
}

// scalar takes a value of the file, or reads a text.
func scalar[T any](v any, read func(string) (T, error)) (x T, ok bool) {
	if s, isText := v.(string); isText {
		x, err := read(s)
		return x, err == nil
	}
	x, ok = v.(T)
	return x, ok
}

func parseWhole(x reflect.Value, v any) error {
	n, ok := scalar(v, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	switch {
	case !ok:
		return value.Wrong("a whole number", v)
	case x.CanInt():
		x.SetInt(n)
	case n < 0:
		return fmt.Errorf("at least 0, not %d", n)
	default:
		x.SetUint(uint64(n))
	}
	return nil
}

func parseFloat(to *float64, v any) error {
	f, ok := scalar(v, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
	if n, whole := v.(int64); whole {
		f, ok = float64(n), true
	}
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return value.Wrong("a number", v)
	}
	*to = f
	return nil
}

func parseList(to *[]string, v any) error {
	switch l := v.(type) {
	case string: // one address needs no brackets
		*to = []string{l}
		return nil
	case []string: // of flags
		*to = slices.Clone(l)
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return value.Wrong("a list of strings", v)
	}
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return value.Wrong("a list of strings", e)
		}
		*to = append(*to, s)
	}
	if len(list) == 0 {
		return errors.New("the list is empty")
	}
	return nil
}

// setWorkers reads a number, "auto" or "MIN-MAX" into two fields.
func setWorkers(c *prefork.Config, v any, k *Key) error {
	var s string
	switch v := v.(type) {
	case int64:
		if v < 1 {
			return fmt.Errorf("at least 1 worker is needed, not %d", v)
		}
		s = strconv.FormatInt(v, 10)
	case string:
		s = v
	}
	if s == "auto" {
		c.Workers, c.MaxWorkers = 0, 0
		return nil
	}
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	lo, errLow := strconv.ParseUint(low, 10, 31)
	hi, errHigh := strconv.ParseUint(high, 10, 31)
	switch {
	case errLow != nil || errHigh != nil:
		return value.Wrong(`a number, "auto" or "MIN-MAX"`, v)
	case lo < 1:
		return fmt.Errorf("at least 1 worker is needed, not %d", lo)
	case lo > hi:
		return fmt.Errorf("the minimum %d is above the maximum %d", lo, hi)
	}
	if err := k.Check(reflect.ValueOf(int(hi))); err != nil {
		return err
	}
	c.Workers, c.MaxWorkers = int(lo), int(hi)
	return nil
}

// Text returns the key's value in c as the file would say it.
func (c *Config) Text(k *Key) string {
	switch k.Key {
	case "listen":
		return text(k, reflect.ValueOf(c.Addresses()))
	case "workers":
		switch c.Workers {
		case 0:
			return `"auto"`
		case c.MaxWorkers:
			return strconv.Itoa(c.Workers)
		}
		return fmt.Sprintf(`"%d-%d"`, c.Workers, c.MaxWorkers)
	}
	return text(k, k.In(reflect.ValueOf(c).Elem()))
}

// DefaultText returns the key's default as the file would say it.
func DefaultText(k *Key) string { return defaults().Text(k) }

// defaults is made once: every command asks for the default of each key, for the flags
// of serve and check. It must not be changed.
var defaults = sync.OnceValue(func() *Config {
	c := Default()
	return &c
})

func text(k *Key, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []string:
		quoted := make([]string, len(x))
		for i, s := range x {
			quoted[i] = quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case time.Duration:
		return quote(value.DurationText(max(0, x)))
	case bool:
		return strconv.FormatBool(x != k.Not)
	case float64:
		s := strconv.FormatFloat(x, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	if v.Kind() == reflect.String || k.Value == "SIZE" {
		return quote(k.Text(v))
	}
	return k.Text(v)
}

// suggest ends an "unknown" sentence: with the nearest word, or with all.
func suggest(word string, valid []string) string {
	if hint := nearest.Hint(word, valid); hint != "" {
		return hint
	}
	return "; want " + value.OneOf(valid)
}
