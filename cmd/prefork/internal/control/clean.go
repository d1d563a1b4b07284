package control

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"unicode"
	"unicode/utf16"

	"prefork/cmd/prefork/internal/human"
)

// A server passes on text of its workers and clients: the reason for a failure,
// what a handler does. All such text enters the command here, so it is cleaned
// here, once.

// decode is json.Unmarshal with every text in the result cleaned. v is a pointer.
func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	clean(reflect.ValueOf(v))
	return nil
}

// clean cleans the texts below v, as far as they can be set.
func clean(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(human.Clean(v.String()))
		}
	case reflect.Pointer:
		clean(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			clean(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			clean(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			clean(value)
			v.SetMapIndex(key, reflect.Value{})
			name := reflect.New(key.Type()).Elem()
			name.Set(key)
			clean(name)
			v.SetMapIndex(name, value)
		}
	case reflect.Interface:
		if !v.IsNil() && v.CanSet() {
			value := reflect.New(v.Elem().Type()).Elem()
			value.Set(v.Elem())
			clean(value)
			v.Set(value)
		}
	}
}

// escaped returns JSON with everything escaped that does not print. Outside of
// texts JSON has only line breaks and tabs of that kind.
func escaped(data []byte) []byte {
	if !slices.ContainsFunc(data, func(b byte) bool { return (b < ' ' && b != '\n') || b > '~' }) {
		return data // nearly always
	}
	out := make([]byte, 0, len(data))
	for _, r := range string(data) {
		switch {
		case unicode.IsPrint(r) || r == '\n' || r == '\r' || r == '\t':
			out = append(out, string(r)...)
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		}
	}
	return out
}
