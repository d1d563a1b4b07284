package master

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const maxEvents = 256

// Event is a line of the master's log, at level info or above.
type Event struct {
	Seq     uint64         `json:"seq"` // counts from 1
	At      time.Time      `json:"at"`
	Level   string         `json:"level"` // info, warn or error
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"` // as in the JSON log: durations are seconds, in keys that end in _s
}

// eventLog keeps the last lines of the log. Any goroutine may use it.
type eventLog struct {
	mu      sync.Mutex // guards what follows
	kept    []Event    // the last 256, oldest first
	seq     uint64     // of the last one
	changed chan struct{}
}

func newEventLog() *eventLog { return &eventLog{changed: make(chan struct{})} }

// add keeps e and wakes those that wait.
func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	if len(l.kept) == maxEvents {
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, e)
	close(l.changed)
	l.changed = make(chan struct{})
}

// after returns the kept events later than seq, and a channel that is closed
// when there is another one.
func (l *eventLog) after(seq uint64) ([]Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, _ := slices.BinarySearchFunc(l.kept, seq+1, func(e Event, s uint64) int { return cmp.Compare(e.Seq, s) })
	return slices.Clone(l.kept[i:]), l.changed
}

// Events returns the log lines at level info or above whose Seq is greater than
// after, oldest first. The last 256 are kept. It waits until there is one; its
// error is that of ctx, or ErrStopped after the master's last line. It may be
// called from any goroutine.
func (m *Master) Events(ctx context.Context, after uint64) ([]Event, error) {
	for {
		es, changed := m.eventLog.after(after)
		if len(es) > 0 {
			return es, nil
		}
		select {
		case <-changed:
		case <-m.done:
			if es, _ := m.eventLog.after(after); len(es) > 0 {
				return es, nil
			}
			return nil, ErrStopped
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tee returns a logger that also writes to l.
func (l *eventLog) tee(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewTee(core, &eventCore{LevelEnabler: zapcore.InfoLevel, events: l})
	}))
}

// eventCore is a zapcore.Core that turns log lines into events.
type eventCore struct {
	zapcore.LevelEnabler
	events *eventLog
	fields []zapcore.Field // of With
}

func (c *eventCore) With(fields []zapcore.Field) zapcore.Core {
	return &eventCore{c.LevelEnabler, c.events, slices.Concat(c.fields, fields)}
}

func (c *eventCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *eventCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(enc)
	}
	for key, value := range enc.Fields {
		if d, ok := value.(time.Duration); ok {
			delete(enc.Fields, key)
			enc.Fields[strings.TrimSuffix(key, "_s")+"_s"] = d.Seconds()
		}
	}
	c.events.add(Event{At: entry.Time, Level: entry.Level.String(), Message: entry.Message, Fields: enc.Fields})
	return nil
}

func (c *eventCore) Sync() error { return nil }
