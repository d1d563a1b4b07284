package master

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxEvents bounds the events that are kept for those who ask later.
const maxEvents = 256

// Event is one line of the master's log of level info or above: a transition
// that an operator would care about.
type Event struct {
	Seq     uint64         `json:"seq"` // counts from 1
	At      time.Time      `json:"at"`
	Level   string         `json:"level"` // info, warn or error
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"` // as in the JSON log: durations are seconds, in keys that end in _s
}

// events is the memory of the log. It takes what any goroutine writes.
type eventLog struct {
	mu      sync.Mutex // guards what follows
	kept    []Event    // the last maxEvents, oldest first
	seq     uint64     // of the last one
	changed chan struct{}
}

func newEventLog() *eventLog { return &eventLog{changed: make(chan struct{})} }

// add keeps e and wakes those who wait.
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

// after returns the events that are later than seq, as far as they are kept,
// and a channel that is closed when there is another one.
func (l *eventLog) after(seq uint64) ([]Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, _ := slices.BinarySearchFunc(l.kept, seq+1, func(e Event, s uint64) int {
		switch {
		case e.Seq < s:
			return -1
		case e.Seq > s:
			return 1
		}
		return 0
	})
	return slices.Clone(l.kept[i:]), l.changed
}

// Events returns the log's lines of level info or above whose Seq is greater
// than after, oldest first, as far as they are kept: the last 256 are. It waits
// until there is one; its error is ctx's, or ErrStopped once the master has
// ended and all is told. It may be called from any goroutine.
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

// remember returns a log that also writes to l.
func (l *eventLog) tee(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewTee(core, &eventCore{LevelEnabler: zapcore.InfoLevel, events: l})
	}))
}

// eventCore turns log entries into events.
type eventCore struct {
	zapcore.LevelEnabler
	events *eventLog
	fields []zapcore.Field // of With
}

// With implements zapcore.Core, as do the methods below.
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
