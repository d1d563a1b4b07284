package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"prefork/internal/golden"
)

// A worker is the whole program, executed again. So the init of each package that the
// program links is a part of the start of each worker, and in mode forking of each
// connection.
func TestAWorkerLinksOnlyTheListedPackages(t *testing.T) {
	for name, program := range map[string]string{
		"daemon":  module + "/cmd/prefork",
		"program": module + "/integration/startcost/minimal",
	} {
		list := filepath.Join("testdata", "links-"+name+".txt")
		links := linked(t, program)
		if golden.Updating() {
			golden.Write(t, list, strings.Join(links, "\n")+"\n")
		}
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		allowed := strings.Fields(string(text))
		for _, path := range links {
			if !slices.Contains(allowed, path) {
				t.Errorf("%s links %s, which %s does not list. Each start of a worker pays for its init: see `GODEBUG=inittrace=1 %[1]s`"+
					" and `make start-cost`. Avoid the package, or accept it: go test ./integration -run TestAWorkerLinks -update", program, path, list)
			}
		}
		for _, path := range allowed {
			if !slices.Contains(links, path) {
				t.Errorf("%s does not link %s any more: remove it from %s", program, path, list)
			}
		}
	}
}

// linked returns the packages that a program links, but for those inside the standard
// library, which differ between releases of Go.
func linked(t *testing.T, program string) (paths []string) {
	t.Helper()
	command := exec.Command("go", "list", "-deps", program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", program, err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if own, ok := strings.CutPrefix(path+"/", module+"/"); ok {
			paths = append(paths, strings.TrimSuffix("./"+own, "/")) // whatever the module is called
		} else if strings.Contains(strings.Split(path, "/")[0], ".") || !strings.Contains("/"+path+"/", "/internal/") && !under(path, "vendor") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}
