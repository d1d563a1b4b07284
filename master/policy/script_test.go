package policy

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"prefork/internal/script"
)

// eventTypes has all types of events, for parseLine.
var eventTypes = []any{
	Boot{}, Spawned{}, SpawnFailed{}, Ready{}, Failed{}, Busy{}, Accepted{}, Drained{}, Terminated{}, Leaving{}, Closed{}, Unfit{}, Exited{}, Sampled{},
	Cancel{}, Reload{}, Loaded{}, Listening{}, Scale{}, Recycle{}, Drain{}, Interrupt{}, Stop{}, Tick{},
}

func parseEvent(line string) (Event, error) {
	v, err := parseLine(line, eventTypes...)
	ev, _ := v.(Event)
	return ev, err
}

// String writes n as a line of the script.
func (n Note) String() string {
	line := fmt.Sprintf("note %s %q", levelNames[n.Level], n.Message)
	if n.ID != 0 {
		line += fmt.Sprintf(" id=%d", n.ID)
	}
	for _, f := range n.Fields {
		if text, ok := f.Value.(string); ok {
			line += fmt.Sprintf(" %s=%q", f.Key, text)
		} else {
			line += fmt.Sprintf(" %s=%v", f.Key, f.Value)
		}
	}
	return line
}

var levelNames = [...]string{"debug", "info", "warn", "error"}

// fullConfig has a different value in each field.
func fullConfig(t *testing.T) (c Config) {
	for field, value := range reflect.ValueOf(&c).Elem().Fields() {
		switch value.Kind() {
		case reflect.Bool:
			value.SetBool(true)
		case reflect.Float64:
			value.SetFloat(2.5)
		case reflect.Uint64:
			value.SetUint(1<<63 + uint64(field.Offset))
		case reflect.Int, reflect.Int64:
			value.SetInt(-1 - int64(field.Offset))
		default:
			t.Fatalf("no value for %s", field.Name)
		}
	}
	return c
}

func TestEveryEventSurvivesTheScript(t *testing.T) {
	events := append(everyEvent(), Boot{Config: fullConfig(t), Leftovers: true}, Loaded{Err: "no"},
		Failed{ID: 3, Code: 1, Err: "a \"b\" = c\n\x00é"},
		Sampled{[]Sample{{1, 2, 3, true, true, time.Second, 4, true, true, time.Minute}, {ID: 5}}, true})
	for _, ev := range events {
		if ev == nil {
			continue
		}
		text := script.Format(ev)
		got, err := parseEvent(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if script.Format(got) != text || !reflect.DeepEqual(got, ev) && !isEmptySample(ev) {
			t.Errorf("%s reads back as %s", text, script.Format(got))
		}
	}
}

func isEmptySample(ev Event) bool {
	s, ok := ev.(Sampled)
	return ok && len(s.Samples) == 0
}

func TestBadScriptLinesAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "explode", "ready", "ready id=x", "ready id=1 color=red", `failed id=1 err="no end`, `failed id=1 err="\q"`, "scale by=much",
		"boot min=1 min=x", "boot probation=soon", "sampled active=1",
	} {
		if ev, err := parseEvent(text); !errors.Is(err, errLine) {
			t.Errorf("%q: got %v, %v, want an error", text, ev, err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, ev := range everyEvent() {
		if ev != nil {
			f.Add(script.Format(ev))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		ev, err := parseEvent(text)
		if err != nil {
			return
		}
		written := script.Format(ev)
		again, err := parseEvent(written)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, written, err)
		}
		if script.Format(again) != written {
			t.Fatalf("%q reads back as %q", written, script.Format(again))
		}
	})
}
