package ipc

import (
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func document(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheDatagramsInTheDocumentAreReal(t *testing.T) {
	shown := 0
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(document(t), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSuffix(line, "\n")
			m, err := Decode([]byte(line))
			if err != nil {
				t.Error(err)
				continue
			}
			if again, err := Encode(m); err != nil || string(again) != line {
				t.Errorf("the document shows %s, this build sends %s (%v)", line, again, err)
			}
			shown++
		}
	}
	if shown < 8 {
		t.Errorf("found only %d datagrams", shown)
	}
}

func TestTheDocumentNamesEveryMessageAndField(t *testing.T) {
	text := document(t)
	for typ, maker := range makers {
		if !strings.Contains(text, "**`"+string(typ)+"`**") {
			t.Errorf("the document does not explain %s", typ)
		}
		v := reflect.TypeOf(maker()).Elem()
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("the document does not explain %s of %s", name, typ)
			}
		}
	}
}

func TestTheLayoutsInTheDocumentAreReal(t *testing.T) {
	for heading, typ := range map[string]reflect.Type{
		"## A worker's memory": reflect.TypeFor[Slot](), "## The scoreboard": reflect.TypeFor[Peer](),
	} {
		_, section, found := strings.Cut(document(t), "\n"+heading+"\n")
		if !found {
			t.Fatalf("the document has no %q", heading)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		checkLayout(t, section, typ)
	}
}

func checkLayout(t *testing.T, section string, slot reflect.Type) {
	t.Helper()
	rows := map[string]uintptr{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \|`).FindAllStringSubmatch(section, -1) {
		offset, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		rows[row[2]] = uintptr(offset)
	}
	for i := range slot.NumField() {
		f := slot.Field(i)
		if f.Name == "_" {
			continue
		}
		if at, ok := rows[f.Name]; !ok || at != f.Offset {
			t.Errorf("the document has %s at %d (%t), %s at %d", f.Name, at, ok, slot, f.Offset)
		}
		delete(rows, f.Name)
	}
	if len(rows) != 0 {
		t.Errorf("the document has fields that %s has not: %v", slot, rows)
	}
}
