package loadreport

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAResultIsReadAsItWasWritten(t *testing.T) {
	want := aRun(10)
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := textOf(t, got, TextOptions{}), textOf(t, want, TextOptions{}); a != b {
		t.Errorf("read back, the run reports\n%s", a)
	}
}

func TestAResultOfAnotherVersionIsRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "not the JSON of a load run"},
		{"[]", "not the JSON of a load run"},
		{"{}", "it has no version"},
		{`{"version":2}`, "version 2, and this prefork knows 1: a newer one wrote it"},
		{`{"version":0}`, "version 0, and this prefork knows 1: an older one wrote it"},
		{`{"version":1} {}`, "not the JSON"},
		{`{"version":1,"requests":"many"}`, "decode"},
	} {
		_, err := readFrom(strings.NewReader(c.text), "x", longestFile)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestAnUnknownFieldIsIgnored(t *testing.T) {
	if _, err := readFrom(strings.NewReader(`{"version":1,"added_later":{"x":1}}`), "x", 4096); err != nil {
		t.Error(err)
	}
}

// endless is a file that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAnEndlessFileIsNotRead(t *testing.T) {
	if _, err := readFrom(endless{}, "x", 4096); err == nil || !strings.Contains(err.Error(), "longer than 4.0 KiB") {
		t.Errorf("%v, want that it is too long", err)
	}
}
