// Package plainjson reads the JSON that encoding/json writes for structs of numbers,
// texts and lists, and uses no reflection: in a process that reads two messages in its
// life, the preparation of encoding/json costs more than all the rest of the reading.
//
// It reads less than JSON: no space between tokens, no escapes, only ASCII in texts,
// only whole numbers. Where it does not understand, its functions return false, and
// the caller gives the same data to encoding/json, which also has the better error.
// What it understands, it understands as encoding/json does; the callers' tests
// compare the two.
package plainjson

import (
	"encoding/json"
	"strconv"
)

// Value is the text of one value. It may be malformed until it is read.
type Value []byte

// Object calls field with each key of the object in data and its value, in order. It
// returns false if data is not one plain object, or if field returned false, which it
// must do for a key that it does not know. A key may come twice.
func Object(data []byte, field func(key string, v Value) bool) bool {
	if len(data) < 2 || data[0] != '{' {
		return false
	}
	if string(data) == "{}" {
		return true
	}
	for rest := data[1:]; ; rest = rest[1:] {
		n := skip(rest)
		if n == 0 || n == len(rest) || rest[n] != ':' {
			return false
		}
		key, ok := text(rest[:n])
		if !ok {
			return false
		}
		rest = rest[n+1:]
		if n = skip(rest); n == 0 || n == len(rest) || !field(key, Value(rest[:n:n])) {
			return false
		}
		rest = rest[n:]
		if rest[0] != ',' {
			return string(rest) == "}"
		}
	}
}

// Array calls element with each element of the array in v, as Object does.
func (v Value) Array(element func(Value) bool) bool {
	if len(v) < 2 || v[0] != '[' {
		return false
	}
	if string(v) == "[]" {
		return true
	}
	for rest := v[1:]; ; rest = rest[1:] {
		n := skip(rest)
		if n == 0 || n == len(rest) || !element(rest[:n:n]) {
			return false
		}
		rest = rest[n:]
		if rest[0] != ',' {
			return string(rest) == "]"
		}
	}
}

// String reads a text.
func String[T ~string](v Value, to *T) bool {
	s, ok := text(v)
	if ok {
		*to = T(s)
	}
	return ok
}

// Int reads a whole number of at most 18 digits.
func Int[T ~int | ~int64](v Value, to *T) bool {
	digits := v
	if len(v) > 0 && v[0] == '-' {
		digits = v[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		return false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		n = 10*n + int64(c-'0')
	}
	if len(digits) < len(v) {
		n = -n
	}
	*to = T(n)
	return int64(*to) == n
}

// Float reads a number.
func (v Value) Float(to *float64) bool {
	if !valid(v) || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err == nil {
		*to = f
	}
	return err == nil
}

// Bool reads a truth value.
func (v Value) Bool(to *bool) bool {
	*to = string(v) == "true"
	return *to || string(v) == "false"
}

// Raw copies any value but null.
func (v Value) Raw(to *json.RawMessage) bool {
	if !valid(v) || string(v) == "null" {
		return false
	}
	*to = append(json.RawMessage(nil), v...)
	return true
}

// valid reports whether v is one value, without space around it.
func valid(v Value) bool { return json.Valid(v) && v[0] > ' ' && v[len(v)-1] > ' ' }

// text returns the contents of a string in quotes.
func text(v []byte) (string, bool) {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return "", false
	}
	v = v[1 : len(v)-1]
	for _, c := range v {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", false
		}
	}
	return string(v), true
}

// skip returns the length of the value at the beginning of data, and 0 if it has no
// end. It finds the end of every value that is valid, and may find one of another.
func skip(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if i >= len(data) {
				return 0
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}
