package config

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// For any file, Parse returns a configuration that reads back as the same, or
// problems in the order of their lines.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "mode = \"forking\"", "[limits]\nmax_children = 3", "workers = \"2-8\"\nworkers = 3", "listen = [\"tcp://:1\",",
		"a.b.c.d = {e = [1, {f = 2}]}", "[options]\nmax_line = 1e400", "x = \"\xff\"", "= = =\n[[\n]]", "drain_timeout = 07:32:00",
		"recycle_rss = \"1TiB\"\n[timeouts]\nread_timeout = \"1m\"", "\"mode\" = 'forking'\r\nlimits.min_spare=2",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("owner")) || bytes.Contains(text, []byte("group")) {
			t.Skip("would look users up")
		}
		c, err := Parse("f", text, nil)
		if err == nil {
			var out bytes.Buffer
			if err := c.Write(&out); err != nil {
				t.Fatal(err)
			}
			if _, err := Parse("g", out.Bytes(), nil); err != nil {
				t.Fatalf("printed:\n%s\nproblems: %v", &out, err)
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("error %v, want problems", err)
		}
		lines, last := strings.Count(string(text), "\n")+1, 0
		for _, p := range problems {
			if p.File != "f" || p.Line < last || p.Line > lines || p.What == "" {
				t.Fatalf("problem %+v after line %d, the file has %d lines", p, last, lines)
			}
			last = p.Line
		}
	})
}
