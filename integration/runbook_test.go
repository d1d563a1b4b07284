package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logCalls are the functions that write a log line, with the index of the
// message among their arguments. The runbook does not explain the debug level.
var logCalls = map[string]int{
	"Info": 0, "Warn": 0, "Error": 0, "logFailure": 0, "logClientFailure": 0, "complain": 0, "note": 1, "Check": 1,
}

// The runbook explains every log line, and no line that is never logged.
func TestTheRunbookExplainsEveryLogLine(t *testing.T) {
	explained := rows(t, "line")
	found := messages(t, "../master", "../worker", "../internal/logs", "../cmd/prefork", "..")
	if len(found) < 60 || len(explained) < 60 {
		t.Errorf("found only %d messages in the source and %d in the runbook", len(found), len(explained))
	}
	for text, at := range found {
		if !explained[text] {
			t.Errorf("%s: docs/operations.md does not explain %q", at, text)
		}
	}
	for text := range explained {
		if found[text] == "" {
			t.Errorf("docs/operations.md explains %q, which is not logged", text)
		}
	}
}

// The policy defines the causes of an exit.
func TestTheRunbookExplainsEveryExitCause(t *testing.T) {
	explained, found := rows(t, "`event`"), map[string]bool{}
	file, err := parser.ParseFile(token.NewFileSet(), "../master/policy/worker.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "cause") {
			if text, ok := literal(spec.Values[0]); ok && text != "" {
				found[text] = true
			}
		}
		return true
	})
	if !maps.Equal(explained, found) {
		t.Errorf("docs/operations.md explains the causes %q; the policy has %q",
			slices.Sorted(maps.Keys(explained)), slices.Sorted(maps.Keys(found)))
	}
}

var code = regexp.MustCompile("`([^`]+)`")

// rows returns the code in the first column of those tables of the runbook whose
// first column has this heading.
func rows(t *testing.T, heading string) map[string]bool {
	t.Helper()
	document, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found, inside := map[string]bool{}, false
	for row := range strings.Lines(string(document)) {
		cells := strings.SplitN(row, "|", 3)
		switch {
		case len(cells) < 3:
			inside = false
		case strings.TrimSpace(cells[1]) == heading:
			inside = true
		case inside:
			for _, match := range code.FindAllStringSubmatch(cells[1], -1) {
				found[match[1]] = true
			}
		}
	}
	return found
}

// messages returns the constant log messages in the source below the roots, and
// their positions. Below ".." it reads only the package itself.
func messages(t *testing.T, roots ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && root == ".." && path != root {
				return fs.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if text, ok := message(n); ok {
					found[text] = files.Position(n.Pos()).String()
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// message returns the message that a node logs at level info or above.
func message(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.SelectorExpr:
			name = f.Sel.Name
		case *ast.Ident:
			name = f.Name
		}
		place, ok := logCalls[name]
		if !ok || len(n.Args) <= place || place > 0 && isDebug(n.Args[0]) {
			return "", false
		}
		return literal(n.Args[place])
	case *ast.KeyValueExpr: // of a zapcore.Entry
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Message" {
			return literal(n.Value)
		}
	case *ast.AssignStmt: // a message that is chosen before it is logged
		if to, ok := n.Lhs[0].(*ast.Ident); ok && to.Name == "text" && n.Tok != token.ADD_ASSIGN {
			return literal(n.Rhs[0])
		}
	}
	return "", false
}

func isDebug(level ast.Expr) bool {
	switch level := level.(type) {
	case *ast.Ident:
		return level.Name == "Debug"
	case *ast.SelectorExpr:
		return level.Sel.Name == "DebugLevel"
	}
	return false
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}
