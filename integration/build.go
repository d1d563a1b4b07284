package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// programs are built at most once per test run. RemovePrograms deletes their
// directory.
var programs struct {
	mu    sync.Mutex
	dir   string
	built map[string]*program
}

type program struct {
	once sync.Once
	path string
	err  error
}

// Program builds the main package with the given import path and returns the
// path of the binary. Tests may call it at the same time.
func Program(tb testing.TB, importPath string) string {
	tb.Helper()
	programs.mu.Lock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "prefork-integration-")
		if err != nil {
			programs.mu.Unlock()
			tb.Fatal(err)
		}
		programs.dir, programs.built = dir, make(map[string]*program)
	}
	p := programs.built[importPath]
	if p == nil {
		p = &program{path: filepath.Join(programs.dir, filepath.Base(importPath))}
		programs.built[importPath] = p
	}
	programs.mu.Unlock()
	p.once.Do(func() { p.err = build(p.path, importPath) })
	if p.err != nil {
		tb.Fatal(p.err)
	}
	return p.path
}

func build(path, importPath string) error {
	args := []string{"build", "-o", path}
	if os.Getenv("PREFORK_TEST_RACE") != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, importPath)...)
	if os.Getenv("PREFORK_TEST_RACE") == "" {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // so that it can be forked
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", importPath, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// RemovePrograms deletes the programs that Program has built. TestMain calls it
// at the end.
func RemovePrograms() error {
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if programs.dir == "" {
		return nil
	}
	return os.RemoveAll(programs.dir)
}
