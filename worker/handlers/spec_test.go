package handlers

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/worker"
)

func TestEveryHandlerDocumentsItself(t *testing.T) {
	if want := []string{"discard", "echo", "http", "upper"}; !slices.Equal(Names(), want) {
		t.Errorf("handlers are %v, want %v", Names(), want)
	}
	for _, name := range Names() {
		spec, ok := Lookup(name)
		if !ok || spec.Name != name || spec.Summary == "" || strings.Contains(spec.Summary, "\n") {
			t.Fatalf("Lookup(%q) = %+v, %v", name, spec, ok)
		}
		seen := map[string]bool{}
		for _, o := range spec.Options {
			if o.Key == "" || o.Doc == "" || seen[o.Key] {
				t.Errorf("%s: option %+v lacks something or comes twice", name, o)
			}
			seen[o.Key] = true
		}
	}
	if _, ok := Lookup("uper"); ok {
		t.Error("Lookup finds what does not exist")
	}
}

func TestShownDefaultsAreAcceptedAndMeanTheDefault(t *testing.T) {
	for _, name := range Names() {
		spec, _ := Lookup(name)
		for i := range spec.Options {
			o := &spec.Options[i]
			var shown any
			if err := json.Unmarshal([]byte(o.DefaultText()), &shown); err != nil {
				t.Errorf("%s.%s: %s is not a value: %v", name, o.Key, o.DefaultText(), err)
				continue
			}
			if got, err := o.parse(shown); err != nil || got != o.Default {
				t.Errorf("%s.%s: %s reads as %v (%v), want %v", name, o.Key, o.DefaultText(), got, err, o.Default)
			}
		}
	}
}

func TestCheckNamesEveryProblemAtOnce(t *testing.T) {
	spec, _ := Lookup("http")
	problems := spec.Check(map[string]any{
		"root":                7,
		"list":                "yes",
		"idle_timeout":        "5 parsecs",
		"read_header_timeout": "0s",
		"max_header":          "1TiB",
		"rot":                 "/srv",
	})
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{
		`handler http: option idle_timeout: want a duration such as "30s" or "1m30s", not "5 parsecs"`,
		`handler http: option list: want true or false, not "yes"`,
		`handler http: option max_header: 1TiB is out of range: want 4KiB to 16MiB`,
		`handler http: option read_header_timeout: 0s is out of range: want 1ms to 1h`,
		`handler http: option root: want a string, not 7`,
		`handler http: option rot: unknown option: it has root, list, hidden, read_header_timeout, read_timeout, idle_timeout, max_header, lame_duck`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if last := problems[len(problems)-1]; !errors.Is(last, ErrUnknownOption) || last.Key != "rot" {
		t.Errorf("%#v is not told apart as an unknown option", last)
	}
	var o worker.Options
	if err := spec.Configure(map[string]any{"rot": 1, "list": 2}, &o); err == nil || o.Service != nil ||
		!strings.Contains(err.Error(), "rot") || !strings.Contains(err.Error(), "list") {
		t.Errorf("Configure: %v with service %v, want both problems and none", err, o.Service)
	}
}

func TestOptionsTakeWhatTOMLAndJSONAndFlagsGive(t *testing.T) {
	for _, test := range []struct {
		kind Kind
		raw  any
		want any // nil: refused
	}{
		{String, "", ""},
		{String, "x", "x"},
		{String, nil, nil},
		{Bool, true, true},
		{Bool, "false", false},
		{Bool, "1", nil},
		{Bool, int64(1), nil},
		{Size, int64(5), int64(5)},
		{Size, 5, int64(5)},
		{Size, 5.0, int64(5)},
		{Size, 5.5, nil},
		{Size, 1e300, nil},
		{Size, json.Number("7"), int64(7)},
		{Size, json.Number("7.5"), nil},
		{Size, "64", int64(64)},
		{Size, "64B", int64(64)},
		{Size, "64KiB", int64(64 << 10)},
		{Size, "64 KiB", int64(64 << 10)},
		{Size, "2MiB", int64(2 << 20)},
		{Size, "1GiB", int64(1 << 30)},
		{Size, "3kB", int64(3000)},
		{Size, "", nil},
		{Size, "KiB", nil},
		{Size, "-1", nil},
		{Size, "1.5KiB", nil},
		{Size, "9223372036854775807GiB", nil},
		{Size, "99999999999999999999", nil},
		{Size, []any{1}, nil},
		{Duration, "1m30s", 90 * time.Second},
		{Duration, time.Second, time.Second},
		{Duration, int64(5), nil},
		{Duration, "", nil},
		{Duration, map[string]any{}, nil},
		{Kind("colour"), "red", nil},
	} {
		got, err := (&Option{Kind: test.kind}).parse(test.raw)
		if test.want == nil && err == nil || test.want != nil && (err != nil || got != test.want) {
			t.Errorf("%s from %#v: %#v, %v, want %#v", test.kind, test.raw, got, err, test.want)
		}
	}
}

func TestConfigureBuildsWhatSettingsName(t *testing.T) {
	for name, service := range map[string]bool{"upper": false, "echo": false, "discard": false, "http": true} {
		settings, err := json.Marshal(Settings{Handler: name})
		if err != nil {
			t.Fatal(err)
		}
		var o worker.Options
		if err := Configure(settings, &o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if (o.Service != nil) != service || (o.Handler != nil) == service {
			t.Errorf("%s: built %+v", name, o)
		}
	}
	for _, bad := range []string{"", "[]", `{"handler":"uper"}`, `{"handler":"upper","options":{"max_line":-1}}`,
		`{"handler":"http","options":{"root":"/nonexistent"}}`} {
		if err := Configure(json.RawMessage(bad), &worker.Options{}); err == nil {
			t.Errorf("settings %q were taken", bad)
		}
	}
}

func TestUpperTakesItsLimitFromTheSettings(t *testing.T) {
	var o worker.Options
	if err := Configure(json.RawMessage(`{"handler":"upper","options":{"max_line":"1KiB"}}`), &o); err != nil {
		t.Fatal(err)
	}
	if got := o.Handler.(upper).maxLine; got != 1024 {
		t.Errorf("max_line is %d, want 1024", got)
	}
}
