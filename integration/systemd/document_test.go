package systemd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prefork/internal/needtool"
)

// commands returns the blocks of shell commands of a document.
func commands(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	rest := string(data)
	for {
		_, after, found := strings.Cut(rest, "```sh\n")
		if !found {
			return blocks
		}
		block, next, closed := strings.Cut(after, "```\n")
		if !closed {
			t.Fatalf("%s: unterminated block: %.80q", path, after)
		}
		blocks, rest = append(blocks, block), next
	}
}

// Each block is a script that must succeed. The blocks run in order on a new
// machine.
func TestEveryCommandInTheDocumentWorks(t *testing.T) {
	need(t)
	m, err := Boot("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, tool := range []string{"nc", "curl", "ss"} {
		if _, err := m.Run(context.Background(), "which", tool); err != nil {
			needtool.Skip(t, "the document's commands use %s, which is not installed", tool)
		}
	}
	// The document's user is logged in, so their service manager runs.
	m.must(t, "systemctl", "start", "user@0.service")
	run := 0
	for _, block := range commands(t, filepath.Join(root, "docs", "systemd.md")) {
		script := ""
		for line := range strings.Lines(block) {
			if target, isMake := strings.CutPrefix(line, "make "); isMake {
				if _, err := install(m, strings.TrimSpace(target)); err != nil {
					t.Fatal(err)
				}
				run++
				continue
			}
			script += line
		}
		ctx, cancel := context.WithTimeout(context.Background(), commandTime)
		out, err := m.Run(ctx, "env", "XDG_RUNTIME_DIR=/run/user/0", "bash", "-e", "-u", "-o", "pipefail", "-c", script)
		cancel()
		if err != nil {
			t.Errorf("%s\n%v", block, err)
		}
		t.Logf("%s\n%s", block, out)
		run += strings.Count(script, "\n")
	}
	if run < 50 {
		t.Errorf("found only %d lines", run)
	}
	if left := m.try("find", "/usr/local/bin/prefork", "/usr/local/lib/systemd/system", "/etc/prefork/prefork.toml"); strings.Contains(left, "prefork.service") || strings.Contains(left, "/bin/prefork\n") {
		t.Errorf("left after the uninstall: %s", left)
	}
}
