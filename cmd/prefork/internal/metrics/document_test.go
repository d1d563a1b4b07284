package metrics

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/metrics.md anew")

const (
	document = "../../../../docs/metrics.md"
	tableTop = "-update writes this table -->\n"
	tableEnd = "<!-- end -->"
)

func TestTheDocumentHasEveryMetric(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range Catalogue() {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, m.Help)
	}
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, top := strings.Cut(string(data), tableTop)
	table, after, end := strings.Cut(rest, tableEnd)
	if !top || !end {
		t.Fatal("the document has lost the marks of its table")
	}
	if *update {
		text := before + tableTop + b.String() + tableEnd + after
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != b.String() {
		t.Errorf("docs/metrics.md has another table (-update writes it anew); it should be:\n%s", b.String())
	}
}
