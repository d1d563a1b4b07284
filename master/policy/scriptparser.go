package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// pair is one word of a line; value is empty for a flag.
type pair struct{ key, value string }

// splitLine takes a line of the script apart.
func splitLine(text string) (name string, words []pair, err error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		end := strings.IndexAny(rest, "= ")
		if end < 0 {
			end = len(rest)
		}
		w := pair{key: rest[:end]}
		rest = rest[end:]
		if strings.HasPrefix(rest, "=") {
			rest = rest[1:]
			if strings.HasPrefix(rest, `"`) {
				quoted, err := strconv.QuotedPrefix(rest)
				if err != nil {
					return "", nil, fmt.Errorf("%w: %q has no end: %w", errScript, rest, err)
				}
				rest = rest[len(quoted):]
				if w.value, err = strconv.Unquote(quoted); err != nil {
					return "", nil, fmt.Errorf("%w: %s: %w", errScript, quoted, err)
				}
			} else {
				w.value, rest, _ = strings.Cut(rest, " ")
			}
		}
		words = append(words, w)
	}
	return name, words, nil
}

// parser consumes the words of a line and keeps the first error.
type parser struct {
	words []pair
	err   error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %w", errScript, fmt.Errorf(format, args...))
	}
}

// next takes the next word if it has the given key.
func (p *parser) next(key string) (string, bool) {
	if len(p.words) == 0 || p.words[0].key != key {
		return "", false
	}
	value := p.words[0].value
	p.words = p.words[1:]
	return value, true
}

// set reads the next word into the variable behind dst if it has the given
// key, and says whether it had.
func (p *parser) set(key string, dst any) bool {
	value, ok := p.next(key)
	if !ok {
		return false
	}
	var err error
	switch dst := dst.(type) {
	case *string:
		*dst = value
	case *bool:
		*dst = true
	case *int:
		*dst, err = strconv.Atoi(value)
	case *uint64:
		*dst, err = strconv.ParseUint(value, 10, 64)
	case *float64:
		*dst, err = strconv.ParseFloat(value, 64)
	case *time.Duration:
		*dst, err = time.ParseDuration(value)
	case *ID:
		var n uint64
		n, err = strconv.ParseUint(value, 10, 64)
		*dst = ID(n)
	}
	if err != nil {
		p.fail("%s: %w", key, err)
	}
	return true
}

func (p *parser) id() (id ID) {
	if !p.set("id", &id) {
		p.fail("want id=N")
	}
	return id
}

func (p *parser) integer(key string) (n int) {
	p.set(key, &n)
	return n
}

func (p *parser) reason() (s string) {
	p.set("err", &s)
	return s
}

func (p *parser) config() (c Config) {
	for again := true; again; { // in any order
		again = false
		for _, f := range configFields {
			again = p.set(f.name, f.of(&c)) || again
		}
	}
	return c
}

func (p *parser) samples() (samples []Sample) {
	for {
		var s Sample
		if !p.set("id", &s.ID) {
			return samples
		}
		p.set("active", &s.Active)
		p.set("served", &s.Served)
		p.set("beaten", &s.Beaten)
		p.set("silent", &s.Silent)
		p.set("rss", &s.RSS)
		p.set("suspended", &s.Suspended)
		p.set("full", &s.Full)
		samples = append(samples, s)
	}
}

func (p *parser) scale() (s Scale) {
	s.Absolute = p.set("to", &s.N)
	if !s.Absolute && !p.set("by", &s.N) {
		p.fail("want to=N or by=N")
	}
	return s
}

func (p *parser) event(name string) Event {
	switch name {
	case "boot":
		return Boot{Config: p.config()}
	case "spawned":
		return Spawned{ID: p.id(), PID: p.integer("pid")}
	case "spawn-failed":
		return SpawnFailed{ID: p.id(), Err: p.reason()}
	case "ready":
		return Ready{ID: p.id()}
	case "failed":
		return Failed{ID: p.id(), Code: p.integer("code"), Message: p.reason()}
	case "busy":
		b := Busy{ID: p.id()}
		p.set("idle", &b.Idle)
		return b
	case "drained":
		return Drained{ID: p.id()}
	case "terminated":
		return Terminated{ID: p.id()}
	case "leaving":
		return Leaving{ID: p.id()}
	case "unfit":
		return Unfit{ID: p.id(), Err: p.reason()}
	case "exited":
		return Exited{ID: p.id(), Code: p.integer("code"), Signal: p.integer("signal"), Lost: p.integer("lost")}
	case "sampled":
		var s Sampled
		p.set("waiting", &s.Waiting)
		s.Samples = p.samples()
		return s
	case "reload":
		return Reload{}
	case "loaded":
		return Loaded{Err: p.reason(), Config: p.config()}
	case "listening":
		return Listening{Generation: p.integer("generation"), Err: p.reason()}
	case "scale":
		return p.scale()
	case "recycle":
		r := Recycle{ID: p.id()}
		p.set("now", &r.Now)
		return r
	case "drain":
		return Drain{}
	case "interrupt":
		return Interrupt{}
	case "stop":
		return Stop{}
	case "tick":
		return Tick{}
	}
	p.fail("no event is called %q", name)
	return nil
}
