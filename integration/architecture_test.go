package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// pkg is the output of go list for a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

// module is the path of the module, which `make module` changes.
var module = strings.TrimSuffix(reflect.TypeFor[pkg]().PkgPath(), "/integration")

// packages lists the module's packages without their tests.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	found := make(map[string]pkg)
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		found[p.ImportPath] = p
	}
}

// under reports whether path is the package or lies below it.
func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// arrows lists the packages of this module that a room may import. A room is a
// package and the packages below it, which may always import each other. Rooms
// that are not listed here may import anything.
var arrows = []struct {
	room    string
	imports []string
}{
	{"prefork/ipc", []string{"prefork/internal/plainjson"}},
	{"prefork/systemd", nil},
	{"prefork/internal/value", nil},
	{"prefork/internal/setting", []string{"prefork/internal/value"}},
	{"prefork/internal/logs", []string{"prefork/internal/value"}},
	{"prefork/internal/forkexec", nil},
	{"prefork/internal/rawsignal", nil},
	{"prefork/internal/plainjson", nil},
	{"prefork/internal/script", nil},
	{"prefork/internal/unit", nil},
	{"prefork/internal/cpu", nil},
	{"prefork/internal/testdir", nil},
	{"prefork/internal/golden", nil},
	{"prefork/internal/needtool", nil},
	{"prefork/internal/load", []string{"prefork/internal/cpu", "prefork/internal/value"}},
	{"prefork/master/policy", []string{"prefork/internal/script"}},
	{"prefork/master", []string{"prefork/ipc", "prefork/systemd", "prefork/internal/logs", "prefork/internal/forkexec", "prefork/internal/script"}},
	{"prefork/worker/poll", nil},
	{"prefork/worker", []string{"prefork/ipc", "prefork/internal/livefork", "prefork/internal/rawsignal", "prefork/internal/logs", "prefork/internal/plainjson", "prefork/internal/value"}},
	{"prefork/internal/program", []string{"prefork/worker"}},
	{module, []string{"prefork/master", "prefork/worker", "prefork/ipc", "prefork/systemd", "prefork/internal/logs", "prefork/internal/program", "prefork/internal/setting"}},
}

// forbidden lists packages that a room may not depend on, directly or
// indirectly.
var forbidden = []struct {
	room string
	deps []string
	why  string
}{
	{"prefork/master", []string{"prefork/worker"}, "the master knows workers only by their messages"},
	{"prefork/worker", []string{"prefork/master", "prefork/systemd"}, "a worker knows its master only by the channel"},
	{"prefork/master/policy", []string{"os", "net", "syscall", "golang.org/x/sys/unix", "go.uber.org/zap", "log", "log/slog"}, "policy is pure"},
	{"prefork/ipc", []string{"go.uber.org/zap", "log", "log/slog"}, "ipc returns errors and does not log"},
	{"prefork/systemd", []string{"go.uber.org/zap", "log", "log/slog"}, "systemd returns errors and does not log"},
	{module, []string{"testing", "prefork/preforktest"}, "only tests import what tests need"},
	{"prefork/cmd/prefork", []string{"testing", "prefork/preforktest"}, "only tests import what tests need"},
	{"prefork/worker/handlers", []string{"testing", "prefork/preforktest"}, "only tests import what tests need"},
	{module, []string{"github.com/spf13/cobra", "github.com/pelletier/go-toml/v2"}, "users of the library do not compile the command line"},
}

func TestImportsFollowTheArrows(t *testing.T) {
	all := packages(t)
	for _, arrow := range arrows {
		for path, p := range all {
			// The root is one package. Every other room includes the packages below it.
			if arrow.room == module && path != module || !under(path, arrow.room) {
				continue
			}
			if owner := innermost(path); owner != arrow.room {
				continue
			}
			for _, imported := range p.Imports {
				if !under(imported, module) || under(imported, arrow.room) && arrow.room != module {
					continue
				}
				if !slices.ContainsFunc(arrow.imports, func(room string) bool { return under(imported, room) }) {
					t.Errorf("%s imports %s; it may import %v", path, imported, arrow.imports)
				}
			}
		}
		if _, ok := all[arrow.room]; !ok {
			t.Errorf("there is no room %s", arrow.room)
		}
	}
}

// innermost returns the room with the longest path that contains the package.
func innermost(path string) string {
	best := ""
	for _, arrow := range arrows {
		if under(path, arrow.room) && len(arrow.room) > len(best) {
			best = arrow.room
		}
	}
	return best
}

func TestForbiddenDependenciesAreAbsent(t *testing.T) {
	all := packages(t)
	for _, rule := range forbidden {
		p := all[rule.room]
		// Package time depends on os and syscall. That is not the policy's doing.
		own := p.Deps
		if rule.room == "prefork/master/policy" {
			own = withoutDepsOf(t, p.Deps, p.Imports)
		}
		for _, dep := range own {
			for _, bad := range rule.deps {
				if dep == bad || strings.Contains(bad, ".") && under(dep, bad) || strings.HasPrefix(bad, "prefork/") && under(dep, bad) {
					t.Errorf("%s depends on %s: %s", rule.room, dep, rule.why)
				}
			}
		}
	}
}

// withoutDepsOf removes the dependencies of the standard packages among the
// imports from deps. The imports themselves stay.
func withoutDepsOf(t *testing.T, deps, imports []string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-f", `{{if .Standard}}{{join .Deps "\n"}}{{end}}`}, imports...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	indirect := strings.Fields(string(out))
	return slices.DeleteFunc(slices.Clone(deps), func(dep string) bool {
		return slices.Contains(indirect, dep) && !slices.Contains(imports, dep)
	})
}

// With a clock or random numbers in the policy, a log could not be replayed.
func TestPolicyReadsNoClock(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "prefork/master/policy").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	grep := exec.Command("grep", "-nE", `time\.(Now|Since|Until|After|Sleep|NewTimer|NewTicker|Tick)\(|math/rand|^\s*go (func|[a-z])`, "-r", "--include=*.go", "--exclude=*_test.go", dir)
	if out, err := grep.Output(); err == nil {
		t.Errorf("the policy reads a clock, uses random numbers or starts a goroutine:\n%s", out)
	}
}

// Users of the library compile two other modules. Modules of the command and of
// the tests are not among them.
func TestLibraryNeedsTwoModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", module, "prefork/worker/handlers").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{module, "golang.org/x/sys", "go.uber.org/zap", "go.uber.org/multierr"} // the last is zap's
	for _, module := range strings.Fields(string(out)) {
		if !slices.Contains(allowed, module) {
			t.Errorf("the library compiles module %s", module)
		}
	}
}

// Only the command links the libraries of the command line, and nothing
// imports the benchmarks.
func TestOnlyTheCommandLinksItsLibraries(t *testing.T) {
	for path, p := range packages(t) {
		for _, dep := range p.Deps {
			for _, library := range []string{"github.com/spf13/cobra", "github.com/pelletier/go-toml/v2"} {
				if under(dep, library) && !under(path, "prefork/cmd/prefork") {
					t.Errorf("%s depends on %s", path, dep)
				}
			}
			if under(dep, "prefork/bench") {
				t.Errorf("%s depends on %s", path, dep)
			}
		}
	}
}
