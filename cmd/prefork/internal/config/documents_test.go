package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheExampleFileHasEveryKeyAtItsDefaultInItsTable(t *testing.T) {
	text := readFile(t, repository, "prefork.toml")
	c, d := mustParse(t, text), Default()
	doc, problems := parseDocument("", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, k := range Keys() {
		if got := c.Text(&k); got != d.Text(&k) {
			t.Errorf("prefork.toml: %s = %s, default %s", k.Key, got, d.Text(&k))
		}
		path := []string{k.Key}
		if k.Table != "" {
			path = []string{k.Table, k.Key}
		}
		if doc.line(path...) == 0 {
			t.Errorf("prefork.toml does not show %s (in table %q)", k.Key, k.Table)
		}
	}
	h, _ := LookupHandler(d.Handler)
	for _, o := range h.Options() {
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
	d := Default()
	for _, k := range Keys() {
		want := line{k.Table, d.Text(&k), "yes"}
		if k.Fixed {
			want.reload = "fixed"
		}
		if got := found[k.Key]; got != want {
			t.Errorf("configuration.md: %s is %+v, want %+v", k.Key, got, want)
		}
		delete(found, k.Key)
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
	for _, name := range HandlerNames() {
		h, _ := LookupHandler(name)
		for _, o := range h.Options() {
			want = append(want, name+"."+o.Key+" = "+h.DefaultText(&o))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("configuration.md has\n  %s\nthe handlers have\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// The document's samples of problems are the program's messages.
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
