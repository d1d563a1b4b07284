package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const entry = `
mutant one
breaks  a promise
in      lib
from    return a + b
to      return a - b
package ./lib
run     TestAdd
`

func TestParseReadsTheList(t *testing.T) {
	got, err := parse(strings.NewReader("# comment\n" + entry))
	if err != nil || len(got) != 1 || got[0].from != "return a + b" || got[0].run != "TestAdd" || got[0].line != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, text := range map[string]string{
		"a name twice":     entry + entry,
		"a field twice":    entry + "run TestB\n",
		"an unknown field": entry + "file lib\n",
		"no tests":         strings.Replace(entry, "run     TestAdd\n", "", 1),
		"no mutant":        "run TestB\n",
	} {
		if _, err := parse(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The whole run takes long. This test finds texts that have moved at once.
func TestNoMutantOfTheListIsStale(t *testing.T) {
	f, err := os.Open("mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mutants, err := parse(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if _, _, err := m.find(filepath.Join("..", "..")); err != nil {
			t.Errorf("mutants.txt:%d: %s: %v", m.line, m.name, err)
		}
	}
}

// The module has one function, and a test that misses some changes.
func TestAMutantIsKilledSurvivesOrIsStale(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "lib"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":          "module m\n",
		"lib/lib.go":      "package lib\n\nfunc add(a, b int) int {\n\treturn a + b\n}\n",
		"lib/lib_test.go": "package lib\n\nimport \"testing\"\n\nfunc TestAdd(t *testing.T) {\n\tif add(2, 2) != 4 {\n\t\tt.Fatal()\n\t}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := mutant{name: "x", in: "lib", from: "return a + b", pkg: "./lib", run: "TestAdd"}
	for _, c := range []struct {
		to, from, run string
		want          outcome
	}{
		{to: "return a - b", want: killed},
		{to: "return a * b", want: survived},
		{to: "return a +", want: unbuilt},
		{from: "return a % b", want: stale},
		{from: "a", want: stale},
		{to: "return a - b", run: "TestSub", want: stale},
	} {
		m := m
		m.to = c.to
		if c.from != "" {
			m.from = c.from
		}
		if c.run != "" {
			m.run = c.run
		}
		if got, detail := try(root, t.TempDir(), m); got != c.want {
			t.Errorf("%+v: %s, %s; want %s", c, got, detail, c.want)
		}
	}
}
