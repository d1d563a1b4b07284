package logs

import (
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// core writes the entries of a logger. Clones made by With share level and out.
type core struct {
	level  zap.AtomicLevel
	enc    zapcore.Encoder // of lines
	out    *sink
	json   bool     // durations become seconds
	stream *stream  // the journal's, if out was it; nil otherwise
	native *console // of datagrams; nil if the journal takes none
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
	clone.enc = c.enc.Clone()
	for _, f := range c.adapt(fields) {
		f.AddTo(clone.enc)
	}
	if c.native != nil {
		clone.native = c.native.clone()
		for _, f := range fields {
			f.AddTo(clone.native)
		}
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
		c.stream.drain()
	}
	return nil
}

func (c *core) write(entry zapcore.Entry, fields []zapcore.Field) error {
	journal := c.stream != nil && c.out.is(c.stream)
	if journal && c.native != nil {
		err := c.send(entry, fields)
		if err == nil || errors.Is(err, errStalled) {
			return err
		}
		// The stream takes lines even if the socket takes no datagrams.
	}
	line, err := c.enc.EncodeEntry(entry, c.adapt(fields))
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
	return c.stream.send(datagram.Bytes())
}

// adapt turns durations into seconds for JSON, with the unit in the key. It does
// not change fields.
func (c *core) adapt(fields []zapcore.Field) []zapcore.Field {
	if !c.json {
		return fields
	}
	copied := false
	for i, f := range fields {
		if f.Type != zapcore.DurationType {
			continue
		}
		if !copied {
			fields = append([]zapcore.Field(nil), fields...)
			copied = true
		}
		fields[i] = zap.Float64(secondsKey(f.Key), time.Duration(f.Integer).Seconds())
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
