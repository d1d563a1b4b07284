package logs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"prefork/internal/value"
)

// The escape sequences of the console.
const (
	reset  = "\x1b[0m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	cyan   = "\x1b[36m"
)

// console encodes lines for people: time, level, message, then the fields as
// key=value. A value of several lines, such as a stack, follows below the
// line, each of its lines after a bar. Objects and namespaces become keys
// with dots. One goroutine at a time uses an encoder.
//
// A native one makes datagrams of the journal's native protocol: the text is their
// MESSAGE, and each log field is a field of the journal.
type console struct {
	colour bool
	native string // the SYSLOG_IDENTIFIER of datagrams; "" for lines
	pairs  []byte // the fields of a datagram
	prefix string // of the keys inside a namespace or an object
	fields []byte // what stands behind the message
	below  []byte // what stands below the line
}

func (e *console) with(fields []zapcore.Field) encoder { return e.clone(fields) }

// clone returns an encoder that has more fields.
func (e *console) clone(fields []zapcore.Field) *console {
	c := *e
	// The clone's first append must not reach into e's array.
	c.fields, c.below, c.pairs = slices.Clip(e.fields), slices.Clip(e.below), slices.Clip(e.pairs)
	c.addAll(fields)
	return &c
}

func (e *console) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	c := e.clone(fields)
	if entry.Stack != "" {
		c.prefix = ""
		c.add("stack", entry.Stack)
	}
	if c.native != "" {
		return c.datagram(entry), nil
	}
	line := buffers.Get()
	c.paint(line, dim, entry.Time.Format("15:04:05.000"))
	line.AppendByte(' ')
	label, colour := levelLabel(entry.Level)
	c.paint(line, colour, label)
	line.AppendByte(' ')
	c.text(line, entry)
	return line, nil
}

// text writes the message and the fields, without time and level.
func (e *console) text(line *buffer.Buffer, entry zapcore.Entry) {
	if entry.LoggerName != "" {
		line.AppendString(escape(entry.LoggerName))
		line.AppendString(": ")
	}
	line.AppendString(escape(entry.Message))
	if len(e.fields) > 0 {
		line.AppendByte(' ') // and each field begins with another
		line.AppendBytes(e.fields)
	}
	line.AppendByte('\n')
	line.AppendBytes(e.below)
}

func levelLabel(l zapcore.Level) (label, colour string) {
	switch l {
	case zapcore.DebugLevel:
		return "DEBUG", dim
	case zapcore.InfoLevel:
		return "INFO ", green
	case zapcore.WarnLevel:
		return "WARN ", yellow
	}
	return fmt.Sprintf("%-5s", l.CapitalString()), red
}

func (e *console) paint(line *buffer.Buffer, colour, text string) {
	if !e.colour {
		line.AppendString(text)
		return
	}
	line.AppendString(colour)
	line.AppendString(text)
	line.AppendString(reset)
}

// add adds a field to the text, and to the datagram if there is one.
func (e *console) add(key, value string) {
	if e.native != "" {
		e.pair(key, value)
	}
	e.show(key, value)
}

func (e *console) show(key, value string) {
	name := escape(e.prefix + key)
	if strings.ContainsRune(strings.TrimRight(value, "\n"), '\n') {
		e.addBelow(name, value)
		return
	}
	value = quote(strings.TrimRight(value, "\n"))
	e.fields = append(e.fields, ' ')
	if !e.colour {
		e.fields = append(append(append(e.fields, name...), '='), value...)
		return
	}
	e.fields = append(append(e.fields, dim...), name...)
	e.fields = append(append(e.fields, '='), reset...)
	if key == "error" {
		value = red + value + reset
	}
	e.fields = append(e.fields, value...)
}

func (e *console) addBelow(name, value string) {
	e.below = append(append(append(e.below, "    "...), name...), ":\n"...)
	for text := range strings.Lines(value) {
		e.below = append(e.below, "    | "...)
		e.below = append(e.below, escape(strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\t", "    "))...)
		e.below = append(e.below, '\n')
	}
}

// quote returns s as it is if it reads as one word, else in quotes.
func quote(s string) string {
	if s == "" || strings.ContainsAny(s, " \"=") || escape(s) != s {
		return strconv.Quote(s)
	}
	return s
}

// escape replaces everything that is not printable, as strconv.Quote does, and
// adds no quotes.
func escape(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			quoted := strconv.Quote(s)
			return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		}
	}
	return s
}

// addAll adds fields to the text, and to the datagram if there is one.
func (e *console) addAll(fields []zapcore.Field) {
	for _, f := range fields {
		if f.Type == zapcore.NamespaceType {
			e.prefix += f.Key + "."
			continue
		}
		values := zapcore.NewMapObjectEncoder()
		f.AddTo(values)
		if _, failed := values.Fields[f.Key+"Error"]; failed {
			delete(values.Fields, f.Key) // the part before the error
		}
		e.addMap(values.Fields)
	}
}

func (e *console) addMap(fields map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch v := fields[key].(type) {
		case map[string]any:
			outer := e.prefix
			e.prefix += key + "."
			e.addMap(v)
			e.prefix = outer
		case time.Duration:
			// Rounded for people; a datagram's field has the seconds, as JSON does.
			if e.native != "" {
				e.pair(secondsKey(key), fmt.Sprint(v.Seconds()))
			}
			e.show(key, value.RoundedText(v))
		default:
			text, err := element(v)
			if err != nil {
				key, text = key+"Error", err.Error()
			}
			e.add(key, text)
		}
	}
}

// element returns a value as text.
func element(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case time.Duration:
		return value.RoundedText(v), nil
	case float32, float64, complex64, complex128:
		return fmt.Sprint(v), nil
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			var err error
			if texts[i], err = element(v[i]); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(texts, ",") + "]", nil
	}
	data, err := json.Marshal(v)
	return string(data), err
}
