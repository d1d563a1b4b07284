package handlers

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"prefork/internal/value"
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
		return strconv.Quote(value.Size(v).String())
	case time.Duration:
		return strconv.Quote(value.DurationText(v))
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
		return nil, value.Wrong("a string", raw)
	case Bool:
		return parseBool(raw)
	case Size:
		n, err := value.ParseSize(raw)
		if low, high := value.Size(o.min), value.Size(o.max); err == nil && high > 0 && (n < low || n > high) {
			err = fmt.Errorf("%v is out of range: want %v to %v", n, low, high)
		}
		return int64(n), err
	case Duration:
		d, err := value.ParseDuration(raw)
		if err == nil && o.max > 0 && (int64(d) < o.min || int64(d) > o.max) {
			err = fmt.Errorf("%s is out of range: want %s to %s", value.DurationText(d), value.DurationText(time.Duration(o.min)), value.DurationText(time.Duration(o.max)))
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
	return false, value.Wrong("true or false", raw)
}
