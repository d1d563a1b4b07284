package integration

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// logCalls are the functions that write a line, with the place of the message
// among their arguments. What is logged at debug level is nobody's business.
var logCalls = map[string]int{
	"Info": 0, "Warn": 0, "Error": 0, "logFailure": 0, "note": 1, "Check": 1,
}

// An operator finds every line of the log in the runbook.
func TestTheRunbookHasEveryLineOfTheLog(t *testing.T) {
	book, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []byte // the first column of its tables
	for row := range bytes.Lines(book) {
		if cells := bytes.SplitN(row, []byte("|"), 3); len(cells) == 3 {
			explained = append(explained, cells[1]...)
		}
	}
	found := 0
	for message, at := range messages(t, "../master", "../worker", "../internal/logs") {
		found++
		if !bytes.Contains(explained, []byte("`"+message+"`")) {
			t.Errorf("%s: docs/operations.md does not tell of %q", at, message)
		}
	}
	if found < 60 {
		t.Errorf("found only %d messages in the source", found)
	}
}

// messages finds the constant messages of the log in the source below some
// directories, and where they stand.
func messages(t *testing.T, roots ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
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

// message returns what a node of the source logs at level info or above.
func message(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		name, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return "", false
		}
		place, ok := logCalls[name.Sel.Name]
		if !ok || len(n.Args) <= place || place > 0 && isDebug(n.Args[0]) {
			return "", false
		}
		return literal(n.Args[place])
	case *ast.KeyValueExpr: // of a zapcore.Entry
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Message" {
			return literal(n.Value)
		}
	case *ast.AssignStmt: // a message that is chosen before it is logged
		if to, ok := n.Lhs[0].(*ast.Ident); ok && to.Name == "text" {
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
