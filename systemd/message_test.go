package systemd

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEncodeWritesOneLinePerField(t *testing.T) {
	data, err := EncodeMessage(Field{"READY", "1"}, Field{"STATUS", "4 workers"}, Field{"X_EMPTY", ""})
	if err != nil {
		t.Fatal(err)
	}
	if want := "READY=1\nSTATUS=4 workers\nX_EMPTY="; string(data) != want {
		t.Errorf("got %q, want %q", data, want)
	}
}

func TestEncodeRefusesWhatSystemdWouldDrop(t *testing.T) {
	for name, test := range map[string]struct {
		fields []Field
		says   string
	}{
		"no fields":           {nil, "no fields"},
		"no name":             {[]Field{{"", "1"}}, "without a name"},
		"small letters":       {[]Field{{"ready", "1"}}, `"ready"`},
		"digit first":         {[]Field{{"1READY", "1"}}, `"1READY"`},
		"equals in name":      {[]Field{{"A=B", "1"}}, `"A=B"`},
		"newline in name":     {[]Field{{"A\nB", "1"}}, `"A\nB"`},
		"newline in value":    {[]Field{{"STATUS", "a\nREADY=1"}}, "newline"},
		"nul in value":        {[]Field{{"STATUS", "a\x00"}}, "NUL"},
		"not UTF-8":           {[]Field{{"STATUS", "\xff"}}, "UTF-8"},
		"too long":            {[]Field{{"X", strings.Repeat("x", MaxMessage-1)}}, "4097 bytes"},
		"bad field comes 2nd": {[]Field{{"READY", "1"}, {"", ""}}, "without a name"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := EncodeMessage(test.fields...)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, %v, want an error with %q", data, err, test.says)
			}
		})
	}
}

func TestEncodeFillsAMessageToTheLastByte(t *testing.T) {
	data, err := EncodeMessage(Field{"X", strings.Repeat("x", MaxMessage-2)})
	if err != nil || len(data) != MaxMessage {
		t.Errorf("got %d bytes, %v, want %d", len(data), err, MaxMessage)
	}
}

func TestAnyStatusCanBeSent(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"plain":       {"4 workers, generation 7", "4 workers, generation 7"},
		"newlines":    {"a\nREADY=1\r\n\tb\n", "a READY=1   b"},
		"nul":         {"a\x00b\x7fc", "a b c"},
		"not UTF-8":   {"a\xff\xfeb", "a\uFFFDb"},
		"long":        {strings.Repeat("x", 5000), strings.Repeat("x", MaxStatus-3) + "…"},
		"rune at cut": {strings.Repeat("é", 5000), strings.Repeat("é", (MaxStatus-3)/2) + "…"},
		"just fits":   {strings.Repeat("x", MaxStatus), strings.Repeat("x", MaxStatus)},
		"empty":       {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := statusField(test.text).Value; got != test.want {
				t.Errorf("got %d bytes %.60q, want %.60q", len(got), got, test.want)
			}
		})
	}
}

func FuzzStatusIsAlwaysSendable(f *testing.F) {
	f.Add("a\nb\x00\xff")
	f.Add(strings.Repeat("é", 3000))
	f.Fuzz(func(t *testing.T, text string) {
		field := statusField(text)
		if len(field.Value) > MaxStatus || !utf8.ValidString(field.Value) {
			t.Fatalf("status %q", field.Value)
		}
		if _, err := EncodeMessage(Field{"READY", "1"}, field); err != nil {
			t.Fatal(err)
		}
	})
}
