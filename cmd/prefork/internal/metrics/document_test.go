package metrics

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"prefork/internal/golden"
)

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
	_, after, end := strings.Cut(rest, tableEnd)
	if !top || !end {
		t.Fatal("the document does not have the marks of its table")
	}
	golden.Check(t, document, before+tableTop+b.String()+tableEnd+after)
}
