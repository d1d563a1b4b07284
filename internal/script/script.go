// Package script writes structs as lines of text: the name of the type, and key=value for each
// field. The master's debug log has its events in this form, so that a test can replay it
// against package policy.
//
//	spawned id=3 pid=4711
//	sampled waiting id=3 active=1 served=20 id=4 silent=31s
//
// The fields of a struct in a struct, and of the structs in a slice, follow as if they were the
// outer one's. A field with its zero value is left out, unless it is called ID or has the tag
// `script:"always"`. The fields are numbers, texts, bools, durations and such structs.
package script

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// Name returns how a line for v begins: spawn-failed for a SpawnFailed.
func Name(v any) string {
	if v == nil {
		return "nothing"
	}
	return Key(reflect.TypeOf(v).Name())
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
		key := Key(field.Name)
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

// Key writes a Go name as a key: RecycleRSS as recycle-rss.
func Key(name string) string {
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
