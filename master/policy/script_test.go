package policy

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestEveryEventSurvivesTheScript(t *testing.T) {
	events := append(everyEvent(),
		Boot{Config{OneShot: true, CrashBudget: 2.5, Probation: -1, Seed: 1 << 63, RecycleAboveRSS: 9}},
		Failed{ID: 3, Code: 1, Message: "a \"b\" = c\n\x00é"},
		Sampled{[]Sample{{1, 2, 3, true, time.Second, 4, true, true}, {ID: 5}}, true})
	for _, ev := range events {
		if ev == nil {
			continue
		}
		text := FormatEvent(ev)
		got, err := ParseEvent(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if FormatEvent(got) != text || !reflect.DeepEqual(got, ev) && !isEmptySample(ev) {
			t.Errorf("%s came back as %s", text, FormatEvent(got))
		}
	}
}

func isEmptySample(ev Event) bool {
	s, ok := ev.(Sampled)
	return ok && len(s.Samples) == 0
}

func TestEveryConfigFieldHasAName(t *testing.T) {
	if got, want := len(configFields), reflect.TypeFor[Config]().NumField(); got != want {
		t.Errorf("%d names for %d fields", got, want)
	}
	var c Config
	seen := map[any]bool{}
	for _, f := range configFields {
		if p := f.of(&c); seen[p] {
			t.Errorf("%s names a field that has another name", f.name)
		} else {
			seen[p] = true
		}
	}
}

func TestBadScriptLinesAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "explode", "ready", "ready id=x", "ready id=1 color=red", `failed id=1 err="no end`, `failed id=1 err="\q"`, "scale", "scale by=much",
		"boot min=1 min=x", "boot probation=soon", "sampled active=1",
	} {
		if ev, err := ParseEvent(text); !errors.Is(err, errScript) {
			t.Errorf("%q: got %v, %v, want an error", text, ev, err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, ev := range everyEvent() {
		if ev != nil {
			f.Add(FormatEvent(ev))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		ev, err := ParseEvent(text)
		if err != nil {
			return
		}
		written := FormatEvent(ev)
		again, err := ParseEvent(written)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, written, err)
		}
		if FormatEvent(again) != written {
			t.Fatalf("%q came back as %q", written, FormatEvent(again))
		}
	})
}
