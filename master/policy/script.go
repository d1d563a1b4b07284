package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The script is a way to write events and actions down, one a line: a name and
// key=value pairs, texts in double quotes. The debug log is written in it, and
// so are the tests, so that what happened can be replayed.
//
//	spawned id=3 pid=4711
//	sampled id=3 active=1 served=20 id=4 silent=31s
//	spawn id=5 slot=2 generation=1
//	drain-worker id=3 empty timeout=30s

// FormatEvent writes ev as one line of the script.
func FormatEvent(ev Event) string {
	l := &line{}
	l.word(eventName(ev))
	switch ev := ev.(type) {
	case Boot:
		l.config(&ev.Config)
	case Spawned:
		l.id(ev.ID).put("pid", ev.PID)
	case SpawnFailed:
		l.id(ev.ID).put("err", ev.Err)
	case Ready:
		l.id(ev.ID)
	case Failed:
		l.id(ev.ID).put("code", ev.Code).put("err", ev.Message)
	case Busy:
		l.id(ev.ID).flag("idle", ev.Idle)
	case Drained:
		l.id(ev.ID)
	case Terminated:
		l.id(ev.ID)
	case Leaving:
		l.id(ev.ID)
	case Unfit:
		l.id(ev.ID).put("err", ev.Err)
	case Exited:
		l.id(ev.ID).put("code", ev.Code).put("signal", ev.Signal).put("lost", ev.Lost)
	case Sampled:
		l.flag("waiting", ev.Waiting)
		for _, s := range ev.Samples {
			l.id(s.ID).put("active", s.Active).put("served", s.Served)
			l.flag("beaten", s.Beaten).put("silent", s.Silent).put("rss", s.RSS).flag("suspended", s.Suspended).flag("full", s.Full)
		}
	case Loaded:
		l.put("err", ev.Err)
		l.config(&ev.Config)
	case Listening:
		l.put("generation", ev.Generation).put("err", ev.Err)
	case Scale:
		if ev.Absolute {
			l.word("to=" + strconv.Itoa(ev.N))
		} else {
			l.word(fmt.Sprintf("by=%+d", ev.N))
		}
	case Recycle:
		l.id(ev.ID)
		if ev.Now {
			l.word("now")
		}
	}
	return l.String()
}

// FormatAction writes a as one line of the script.
func FormatAction(a Action) string {
	l := &line{}
	switch a := a.(type) {
	case Load:
		l.word("load")
	case Spawn:
		l.word("spawn").put("id", a.ID).word("slot="+strconv.Itoa(a.Slot)).put("generation", a.Generation)
	case Listen:
		l.word("listen").put("generation", a.Generation)
	case Accept:
		l.word("accept").put("id", a.ID)
	case DrainWorker:
		l.word("drain-worker").put("id", a.ID).flag("hold", a.Hold).flag("empty", a.Empty).put("timeout", a.Timeout)
	case LameDuck:
		l.word("lame-duck").put("id", a.ID)
	case StopWorker:
		l.word("stop-worker").put("id", a.ID)
	case Kill:
		l.word("kill").put("id", a.ID)
	case Dump:
		l.word("dump").put("id", a.ID)
	case Quiesce:
		l.word("quiesce").put("generation", a.Generation)
	case Commit:
		l.word("commit").put("generation", a.Generation)
	case Retire:
		l.word("retire").put("generation", a.Generation)
	case Notify:
		l.word("notify").word(notifyNames[a.State]).word(strconv.Quote(a.Status))
	case Verdict:
		l.word("verdict").flag("ok", a.Err == "").put("generation", a.Generation).put("err", a.Err)
	case Note:
		l.word("note").word(levelNames[a.Level]).word(strconv.Quote(a.Message)).put("id", a.ID)
		for _, f := range a.Fields {
			l.word(f.Key + "=" + quoteText(f.Value))
		}
	case Exit:
		l.word("exit").word("code="+strconv.Itoa(a.Code)).put("err", a.Err)
	}
	return l.String()
}

var (
	notifyNames = [...]string{"status", "ready", "reloading", "stopping"}
	levelNames  = [...]string{"debug", "info", "warn", "error"}
)

// eventName returns the word with which the script begins ev.
func eventName(ev Event) string {
	switch ev.(type) {
	case Boot:
		return "boot"
	case Spawned:
		return "spawned"
	case SpawnFailed:
		return "spawn-failed"
	case Ready:
		return "ready"
	case Failed:
		return "failed"
	case Busy:
		return "busy"
	case Drained:
		return "drained"
	case Terminated:
		return "terminated"
	case Leaving:
		return "leaving"
	case Unfit:
		return "unfit"
	case Exited:
		return "exited"
	case Sampled:
		return "sampled"
	case Reload:
		return "reload"
	case Loaded:
		return "loaded"
	case Listening:
		return "listening"
	case Scale:
		return "scale"
	case Recycle:
		return "recycle"
	case Drain:
		return "drain"
	case Interrupt:
		return "interrupt"
	case Stop:
		return "stop"
	case Tick:
		return "tick"
	}
	return "unknown"
}

// line builds one line. put leaves out what has its zero value.
type line struct{ words []string }

func (l *line) word(s string) *line {
	l.words = append(l.words, s)
	return l
}

func (l *line) put(key string, value any) *line {
	switch value {
	case "", 0, false, ID(0), uint64(0), time.Duration(0), 0.0:
		return l
	}
	return l.word(key + "=" + quoteText(value))
}

func (l *line) id(id ID) *line { return l.word(fmt.Sprintf("id=%d", id)) }

func (l *line) flag(name string, set bool) *line {
	if set {
		l.word(name)
	}
	return l
}

func (l *line) config(c *Config) {
	for _, f := range configFields {
		switch p := f.of(c).(type) {
		case *int:
			l.put(f.name, *p)
		case *uint64:
			l.put(f.name, *p)
		case *float64:
			l.put(f.name, *p)
		case *time.Duration:
			l.put(f.name, *p)
		case *bool:
			l.flag(f.name, *p)
		}
	}
}

func (l *line) String() string { return strings.Join(l.words, " ") }

func quoteText(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(v)
}

// configFields names the fields of Config in the script.
var configFields = []struct {
	name string
	of   func(*Config) any // a pointer to the field
}{
	{"min", func(c *Config) any { return &c.Min }},
	{"max", func(c *Config) any { return &c.Max }},
	{"min-spare", func(c *Config) any { return &c.MinSpare }},
	{"max-spare", func(c *Config) any { return &c.MaxSpare }},
	{"one-shot", func(c *Config) any { return &c.OneShot }},
	{"slots", func(c *Config) any { return &c.Slots }},
	{"start-timeout", func(c *Config) any { return &c.StartTimeout }},
	{"probation", func(c *Config) any { return &c.Probation }},
	{"lame-duck", func(c *Config) any { return &c.LameDuck }},
	{"drain-timeout", func(c *Config) any { return &c.DrainTimeout }},
	{"kill-delay", func(c *Config) any { return &c.KillDelay }},
	{"worker-timeout", func(c *Config) any { return &c.WorkerTimeout }},
	{"dump-delay", func(c *Config) any { return &c.DumpDelay }},
	{"sample-interval", func(c *Config) any { return &c.SampleInterval }},
	{"recycle-after-connections", func(c *Config) any { return &c.RecycleAfterConnections }},
	{"recycle-after-age", func(c *Config) any { return &c.RecycleAfterAge }},
	{"recycle-above-rss", func(c *Config) any { return &c.RecycleAboveRSS }},
	{"fast-death", func(c *Config) any { return &c.FastDeath }},
	{"backoff-base", func(c *Config) any { return &c.BackoffBase }},
	{"backoff-cap", func(c *Config) any { return &c.BackoffCap }},
	{"crash-budget", func(c *Config) any { return &c.CrashBudget }},
	{"crash-half-life", func(c *Config) any { return &c.CrashHalfLife }},
	{"boot-tries", func(c *Config) any { return &c.BootTries }},
	{"max-old-generations", func(c *Config) any { return &c.MaxOldGenerations }},
	{"seed", func(c *Config) any { return &c.Seed }},
}

// errScript is wrapped by what ParseEvent returns.
var errScript = errors.New("bad script line")

// ParseEvent reads what FormatEvent wrote.
func ParseEvent(text string) (Event, error) {
	name, words, err := splitLine(text)
	if err != nil {
		return nil, err
	}
	p := &parser{words: words}
	ev := p.event(name)
	if p.err == nil && len(p.words) > 0 {
		p.fail("%q is not known to %q", p.words[0].key, name)
	}
	if p.err != nil {
		return nil, p.err
	}
	return ev, nil
}
