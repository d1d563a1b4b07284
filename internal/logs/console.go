package logs

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
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

var _ zapcore.Encoder = (*console)(nil)

// Clone implements zapcore.Encoder, as does EncodeEntry.
func (e *console) Clone() zapcore.Encoder { return e.clone() }

func (e *console) clone() *console {
	c := *e
	// Full capacity: the clone's first append must not reach into e's array.
	c.fields = e.fields[:len(e.fields):len(e.fields)]
	c.below = e.below[:len(e.below):len(e.below)]
	c.pairs = e.pairs[:len(e.pairs):len(e.pairs)]
	return &c
}

func (e *console) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	c := e.clone()
	for _, f := range fields {
		f.AddTo(c)
	}
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

// element returns the value of an array's element, as AddReflected does of a
// value.
func element(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case time.Duration:
		return value.RoundedText(v), nil
	case []any:
		return list(v)
	}
	data, err := json.Marshal(v)
	return string(data), err
}

func list(elements []any) (string, error) {
	texts := make([]string, len(elements))
	for i, v := range elements {
		var err error
		if texts[i], err = element(v); err != nil {
			return "", err
		}
	}
	return "[" + strings.Join(texts, ",") + "]", nil
}

// AddArray implements zapcore.ObjectEncoder, as do the methods below.
func (e *console) AddArray(key string, v zapcore.ArrayMarshaler) error {
	collected := zapcore.NewMapObjectEncoder()
	if err := collected.AddArray(key, v); err != nil {
		return err
	}
	return e.AddReflected(key, collected.Fields[key])
}

func (e *console) AddObject(key string, v zapcore.ObjectMarshaler) error {
	outer := e.prefix
	e.prefix += key + "."
	err := v.MarshalLogObject(e)
	e.prefix = outer
	return err
}

func (e *console) AddReflected(key string, v any) error {
	s, err := element(v)
	if err != nil {
		return err
	}
	e.add(key, s)
	return nil
}

func (e *console) OpenNamespace(key string) { e.prefix += key + "." }

// AddDuration is rounded for people; a datagram's field has the seconds, as
// JSON does.
func (e *console) AddDuration(key string, v time.Duration) {
	if e.native != "" {
		e.pair(secondsKey(key), strconv.FormatFloat(v.Seconds(), 'g', -1, 64))
	}
	e.show(key, value.RoundedText(v))
}

func (e *console) AddBinary(key string, v []byte) {
	e.add(key, base64.StdEncoding.EncodeToString(v))
}
func (e *console) AddByteString(key string, v []byte)     { e.add(key, string(v)) }
func (e *console) AddBool(key string, v bool)             { e.add(key, strconv.FormatBool(v)) }
func (e *console) AddComplex128(key string, v complex128) { e.add(key, fmt.Sprint(v)) }
func (e *console) AddComplex64(key string, v complex64)   { e.add(key, fmt.Sprint(v)) }
func (e *console) AddFloat64(key string, v float64)       { e.addFloat(key, v, 64) }
func (e *console) AddFloat32(key string, v float32)       { e.addFloat(key, float64(v), 32) }
func (e *console) addFloat(key string, v float64, bits int) {
	e.add(key, strconv.FormatFloat(v, 'g', -1, bits))
}
func (e *console) AddInt(key string, v int)         { e.AddInt64(key, int64(v)) }
func (e *console) AddInt64(key string, v int64)     { e.add(key, strconv.FormatInt(v, 10)) }
func (e *console) AddInt32(key string, v int32)     { e.AddInt64(key, int64(v)) }
func (e *console) AddInt16(key string, v int16)     { e.AddInt64(key, int64(v)) }
func (e *console) AddInt8(key string, v int8)       { e.AddInt64(key, int64(v)) }
func (e *console) AddString(key, v string)          { e.add(key, v) }
func (e *console) AddTime(key string, v time.Time)  { e.add(key, v.Format(time.RFC3339Nano)) }
func (e *console) AddUint(key string, v uint)       { e.AddUint64(key, uint64(v)) }
func (e *console) AddUint64(key string, v uint64)   { e.add(key, strconv.FormatUint(v, 10)) }
func (e *console) AddUint32(key string, v uint32)   { e.AddUint64(key, uint64(v)) }
func (e *console) AddUint16(key string, v uint16)   { e.AddUint64(key, uint64(v)) }
func (e *console) AddUint8(key string, v uint8)     { e.AddUint64(key, uint64(v)) }
func (e *console) AddUintptr(key string, v uintptr) { e.AddUint64(key, uint64(v)) }
