package metrics

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"prefork/internal/needtool"
)

const deploy = "../../../../deploy"

func deployed(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// dashboard is the part of Grafana's model that the tests check.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

// expressions returns every query of the dashboard, with values in place of
// Grafana's variables.
func expressions(t *testing.T) []string {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(deployed(t, "grafana/prefork.json")), &d); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$__interval", "1m", "$job", "prefork", "$instance", ".*")
	var all []string
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, fill.Replace(target.Expr))
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, fill.Replace(a.Expr))
	}
	return all
}

var metricName = regexp.MustCompile(`\bprefork_[a-z0-9_]+`)

func TestTheDashboardAndTheRulesUseOnlyExistingMetrics(t *testing.T) {
	var names []string
	for _, m := range Catalogue() {
		names = append(names, m.Name)
		if m.Type == Histogram {
			names = append(names, m.Name+"_bucket", m.Name+"_sum", m.Name+"_count")
		}
	}
	used := map[string]bool{}
	for _, file := range []string{"grafana/prefork.json", "prometheus/alerts.yml", "prometheus/alerts_test.yml"} {
		for _, name := range metricName.FindAllString(deployed(t, file), -1) {
			used[name] = true
			if !slices.Contains(names, name) {
				t.Errorf("%s uses %s, which does not exist", file, name)
			}
		}
	}
	for _, m := range Catalogue() {
		part := strings.HasPrefix(m.Name, "prefork_worker_") && m.Type == Counter // of a total
		if !part && !used[m.Name] && !used[m.Name+"_bucket"] {
			t.Errorf("no panel or rule uses %s", m.Name)
		}
	}
}

func TestTheDashboardsPanelsHaveQueriesAndRoom(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(deployed(t, "grafana/prefork.json")), &d); err != nil {
		t.Fatal(err)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: id %d is not unique", p.Title, p.ID)
		}
		ids[p.ID] = true
		if len(p.Targets) == 0 || p.Title == "" {
			t.Errorf("panel %d, %q, has no query or no title", p.ID, p.Title)
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q is outside the grid", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

var (
	alertName  = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	annotation = regexp.MustCompile(`(?m)^ +(summary|description|runbook_url): (.+)$`)
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

func TestEveryAlertSaysWhatItIsAndWhereItsRunbookIs(t *testing.T) {
	runbook, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var anchors []string
	for _, m := range heading.FindAllStringSubmatch(string(runbook), -1) {
		anchors = append(anchors, strings.ReplaceAll(strings.ToLower(m[1]), " ", "-"))
	}
	rules := deployed(t, "prometheus/alerts.yml")
	tests := deployed(t, "prometheus/alerts_test.yml")
	found := alertName.FindAllStringSubmatchIndex(rules, -1)
	if len(found) < 8 {
		t.Fatalf("%d alerts", len(found))
	}
	for i, at := range found {
		end := len(rules)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		name := rules[at[2]:at[3]]
		says := map[string]string{}
		for _, m := range annotation.FindAllStringSubmatch(rules[at[0]:end], -1) {
			says[m[1]] = m[2]
		}
		anchor, ok := strings.CutPrefix(says["runbook_url"], "docs/operations.md#")
		if says["summary"] == "" || says["description"] == "" || !ok || !slices.Contains(anchors, anchor) {
			t.Errorf("%s links to %q; the runbook has %q", name, says, anchors)
		}
		if !strings.Contains(tests, "  - name: "+name+"\n") {
			t.Errorf("%s has no test in alerts_test.yml", name)
		}
	}
}

// promtool runs Prometheus's checker in the directory of the rules.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	path := needtool.Need(t, "promtool", "prometheus")
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = filepath.Join(deploy, "prometheus")
	command.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
}

func TestPromtoolAcceptsTheRulesAndTheirTestsPass(t *testing.T) {
	promtool(t, "", "check", "rules", "alerts.yml")
	promtool(t, "", "test", "rules", "alerts_test.yml")
	promtool(t, "", "check", "config", "--syntax-only", "prometheus.yml")
}

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	s, _ := full()
	promtool(t, written(Text, &s), "check", "metrics")
}

// The test writes the queries of the dashboard as rules, which promtool can
// check.
func TestPromtoolUnderstandsTheDashboardsQueries(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, e := range expressions(t) {
		quoted, err := json.Marshal(e) // JSON is YAML too
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("  - record: q" + strings.Repeat("x", i) + "\n    expr: " + string(quoted) + "\n")
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}
