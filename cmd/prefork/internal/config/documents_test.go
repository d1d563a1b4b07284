package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"prefork/worker/handlers"
)

func TestTheExampleFileHasEveryKeyAtItsDefaultInItsTable(t *testing.T) {
	text := readFile(t, repository, "prefork.toml")
	c, d := mustParse(t, text), Default()
	doc, problems := parseDocument([]byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, k := range Keys() {
		if got := k.Text(&c); got != k.Text(&d) {
			t.Errorf("prefork.toml: %s = %s, default %s", k.Name, got, k.Text(&d))
		}
		path := []string{k.Name}
		if k.Table != "" {
			path = []string{k.Table, k.Name}
		}
		if doc.line(path...) == 0 {
			t.Errorf("prefork.toml does not show %s (in table %q)", k.Name, k.Table)
		}
	}
	spec, _ := handlers.Lookup(d.Handler)
	for _, o := range spec.Options {
		if doc.line(OptionsTable, o.Key) == 0 {
			t.Errorf("prefork.toml does not show the option %s of %s", o.Key, d.Handler)
		}
	}
}

var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]+) \\| `([^`]*)` \\| (yes|fixed) \\| .+ \\|$")

func TestTheDocumentHasEveryKeyWithItsDefaultAndWhetherAReloadChangesIt(t *testing.T) {
	text := readFile(t, repository, "docs", "configuration.md")
	type line struct{ table, deflt, reload string }
	found := map[string]line{}
	for _, part := range strings.Split(text, "\n### ")[1:] {
		table := ""
		if strings.HasPrefix(part, "`[") {
			table = part[2:strings.Index(part, "]")]
		}
		for _, m := range row.FindAllStringSubmatch(part, -1) {
			found[m[1]] = line{table, m[3], m[4]}
		}
	}
	for _, k := range Keys() {
		want := line{k.Table, k.Default, "yes"}
		if k.Fixed {
			want.reload = "fixed"
		}
		if got := found[k.Name]; got != want {
			t.Errorf("configuration.md: %s is %+v, want %+v", k.Name, got, want)
		}
		delete(found, k.Name)
	}
	for name := range found {
		t.Errorf("configuration.md has %s, which is no key", name)
	}
}

var optionRow = regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| `([a-z_]+)` \\| `([^`]*)` \\| .+ \\|$")

func TestTheDocumentHasEveryOptionOfEveryHandler(t *testing.T) {
	var got, want []string
	for _, m := range optionRow.FindAllStringSubmatch(readFile(t, repository, "docs", "configuration.md"), -1) {
		got = append(got, m[1]+"."+m[2]+" = "+m[3])
	}
	for _, name := range handlers.Names() {
		spec, _ := handlers.Lookup(name)
		for _, o := range spec.Options {
			want = append(want, name+"."+o.Key+" = "+o.DefaultText())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("configuration.md has\n  %s\nthe handlers have\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// The samples of problems in the document are what the program says.
func TestTheDocumentQuotesRealProblems(t *testing.T) {
	text := "\n\nmode = \"threding\"\n\n\n\n\n\ndrian_timeout = \"1s\"\n\n\n\n[options]\nmax_line = \"big\"\n"
	_, err := Parse("prefork.toml", []byte(text), nil)
	if err == nil {
		t.Fatal("no problems")
	}
	doc := readFile(t, repository, "docs", "configuration.md")
	for _, l := range strings.Split(err.Error(), "\n") {
		if !strings.Contains(doc, "    "+l+"\n") {
			t.Errorf("configuration.md does not have: %s", l)
		}
	}
}
