package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is the type of an option's value.
type Kind string

// The kinds. Any of them may also be written as a string, as a flag of the
// command line has to.
const (
	String   Kind = "string"
	Path     Kind = "path" // a string; relative to where the server was started
	Bool     Kind = "bool"
	Size     Kind = "size"     // bytes: an integer, or a string such as "64KiB"
	Duration Kind = "duration" // a string such as "5s"
)

// Option documents one setting of a handler.
type Option struct {
	Key     string
	Kind    Kind
	Default any // string, bool, int64 (bytes) or time.Duration, after Kind
	Doc     string

	min, max int64 // of a Size in bytes or a Duration in ns; checked if max > 0
}

// DefaultText returns the default as it may be written in a configuration.
func (o *Option) DefaultText() string {
	switch v := o.Default.(type) {
	case string:
		return strconv.Quote(v)
	case int64:
		return sizeText(v)
	case time.Duration:
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(o.Default)
}

// ErrUnknownOption is wrapped by the OptionError of a key that the handler
// does not have.
var ErrUnknownOption = errors.New("unknown option")

// OptionError is one setting that a handler cannot take.
type OptionError struct {
	Handler string
	Key     string
	Err     error
}

// Error names the handler, the key and the problem.
func (e *OptionError) Error() string {
	return fmt.Sprintf("handler %s: option %s: %v", e.Handler, e.Key, e.Err)
}

// Unwrap returns the problem.
func (e *OptionError) Unwrap() error { return e.Err }

// values are a handler's options, checked and complete: every key is there,
// with the Go type of its kind.
type values map[string]any

func (v values) string(key string) string          { return v[key].(string) }
func (v values) bool(key string) bool              { return v[key].(bool) }
func (v values) size(key string) int               { return int(v[key].(int64)) }
func (v values) duration(key string) time.Duration { return v[key].(time.Duration) }

// parse turns what a configuration file, JSON or a flag holds into the Go type
// of the option's kind.
func (o *Option) parse(raw any) (any, error) {
	switch o.Kind {
	case String, Path:
		if s, ok := raw.(string); ok {
			return s, nil
		}
		return nil, fmt.Errorf("want a string, not %s", describe(raw))
	case Bool:
		return parseBool(raw)
	case Size:
		n, err := parseSize(raw)
		if err == nil && o.max > 0 && (n < o.min || n > o.max) {
			err = fmt.Errorf("%s is out of range: want %s to %s", sizeText(n), sizeText(o.min), sizeText(o.max))
		}
		return n, err
	case Duration:
		d, err := parseDuration(raw)
		if err == nil && o.max > 0 && (int64(d) < o.min || int64(d) > o.max) {
			err = fmt.Errorf("%v is out of range: want %v to %v", d, time.Duration(o.min), time.Duration(o.max))
		}
		return d, err
	}
	return nil, fmt.Errorf("option is of no known kind %q", o.Kind)
}

func parseBool(raw any) (bool, error) {
	switch v := raw.(type) {
	case bool:
		return v, nil
	case string:
		switch v {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, fmt.Errorf("want true or false, not %s", describe(raw))
}

func parseDuration(raw any) (time.Duration, error) {
	switch v := raw.(type) {
	case time.Duration:
		return v, nil
	case string:
		if d, err := time.ParseDuration(v); err == nil {
			return d, nil
		}
	}
	return 0, fmt.Errorf(`want a duration such as "5s", not %s`, describe(raw))
}

func parseSize(raw any) (int64, error) {
	switch v := raw.(type) {
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case float64: // JSON has no other numbers
		if v == math.Trunc(v) && math.Abs(v) <= 1<<53 {
			return int64(v), nil
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
	case string:
		if n, ok := sizeFromText(v); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf(`want a number of bytes or a size such as "64KiB", not %s`, describe(raw))
}

// sizeUnits are looked through in order, the longer suffixes first.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
	{"B", 1}, {"", 1},
}

// sizeFromText reads an integer with a unit. Signs and fractions are no sizes.
func sizeFromText(text string) (int64, bool) {
	for _, unit := range sizeUnits {
		digits, found := strings.CutSuffix(text, unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimRight(digits, " "), 10, 63)
		if err != nil || int64(n) > math.MaxInt64/unit.bytes {
			return 0, false
		}
		return int64(n) * unit.bytes, true
	}
	return 0, false
}

// sizeText writes n in the largest unit that leaves it whole.
func sizeText(n int64) string {
	for _, unit := range []int{2, 1, 0} {
		u := sizeUnits[unit]
		if n != 0 && n%u.bytes == 0 {
			return strconv.Quote(strconv.FormatInt(n/u.bytes, 10) + u.suffix)
		}
	}
	return strconv.FormatInt(n, 10)
}

// describe shows a value as the user may have written it.
func describe(raw any) string {
	switch v := raw.(type) {
	case nil:
		return "nothing"
	case string:
		return strconv.Quote(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprint(raw)
}
