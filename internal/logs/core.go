package logs

import (
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// core writes the entries of a logger. Clones made by With share level and out.
type core struct {
	level  zap.AtomicLevel
	enc    encoder // of lines
	out    *sink
	stream string   // JOURNAL_STREAM, if out was it; "" otherwise
	native *console // of datagrams; nil if the journal takes none
	socket *sink    // takes the datagrams
}

// encoder makes a line of an entry. with returns one whose lines have more fields.
type encoder interface {
	with(fields []zapcore.Field) encoder
	EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error)
}

var (
	_ zapcore.Core = (*core)(nil)

	buffers = buffer.NewPool()
)

// Enabled implements zapcore.Core, as do the methods below.
func (c *core) Enabled(l zapcore.Level) bool { return c.level.Enabled(l) }

// Level lets zapcore.LevelOf find the level.
func (c *core) Level() zapcore.Level { return c.level.Level() }

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	clone := *c
	clone.enc = c.enc.with(fields)
	if c.native != nil {
		clone.native = c.native.clone(fields)
	}
	return &clone
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if c.out.lost.Load() > 0 {
		c.reportLost(entry.Time)
	}
	err := c.write(entry, fields)
	if err != nil {
		c.out.lost.Add(1)
	}
	return err
}

// reportLost says how many lines were lost, now that there may be room again.
func (c *core) reportLost(now time.Time) {
	lost := c.out.lost.Swap(0)
	report := zapcore.Entry{Level: zapcore.WarnLevel, Time: now, Message: "log lines lost"}
	if err := c.write(report, []zapcore.Field{zap.Uint64("count", lost)}); err != nil {
		c.out.lost.Add(lost)
	}
}

// Sync waits a moment until the journal has read all datagrams: it cannot find out
// the sender of a line after the process has ended. Nothing else is buffered.
func (c *core) Sync() error {
	if c.native != nil {
		drain(c.socket)
	}
	return nil
}

func (c *core) write(entry zapcore.Entry, fields []zapcore.Field) error {
	journal := c.stream != "" && c.out.isStream(c.stream)
	if journal && c.native != nil {
		err := c.send(entry, fields)
		if err == nil || errors.Is(err, errStalled) {
			return err
		}
		// The stream takes lines even if the socket takes no datagrams.
	}
	line, err := c.enc.EncodeEntry(entry, fields)
	if err != nil {
		return err
	}
	defer line.Free()
	if !journal {
		return c.out.write(line.Bytes())
	}
	prefixed := buffers.Get()
	defer prefixed.Free()
	prefixed.AppendString("<" + priority(entry.Level) + ">")
	prefixed.AppendBytes(line.Bytes())
	return c.out.write(prefixed.Bytes())
}

func (c *core) send(entry zapcore.Entry, fields []zapcore.Field) error {
	datagram, err := c.native.EncodeEntry(entry, fields)
	if err != nil {
		return err
	}
	defer datagram.Free()
	return c.socket.write(datagram.Bytes())
}

// jsonLines encodes lines of JSON, with durations in seconds.
type jsonLines struct{ zapcore.Encoder }

func (e jsonLines) with(fields []zapcore.Field) encoder {
	clone := e.Clone()
	for _, f := range inSeconds(fields) {
		f.AddTo(clone)
	}
	return jsonLines{clone}
}

func (e jsonLines) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	return e.Encoder.EncodeEntry(entry, inSeconds(fields))
}

// inSeconds turns durations into numbers, with the unit in the key.
func inSeconds(fields []zapcore.Field) []zapcore.Field {
	fields = slices.Clone(fields)
	for i, f := range fields {
		if f.Type == zapcore.DurationType {
			fields[i] = zap.Float64(secondsKey(f.Key), time.Duration(f.Integer).Seconds())
		}
	}
	return fields
}

// secondsKey says the unit in a key.
func secondsKey(key string) string {
	if strings.HasSuffix(key, "_s") {
		return key
	}
	return key + "_s"
}
