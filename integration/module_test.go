package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"prefork/internal/needtool"
)

// goBlocks returns the blocks of Go code in a document.
func goBlocks(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, found := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(found[1]))
	}
	return blocks
}

// hooksHeader and testHeader are the package and import clauses that the README
// omits.
const hooksHeader = `package main

import (
	"context"
	"database/sql"
	"os"

	"prefork/worker"
)

`

const testHeader = `package main

import (
	"bufio"
	"fmt"
	"testing"

	"prefork/preforktest"
)

`

// unreachable matches the output of the go command when it needs a network.
var unreachable = regexp.MustCompile(`module lookup disabled by GOPROXY=off|dial tcp|no such host|i/o timeout`)

// A new module holds the README's program and test. It depends on this tree in
// each way that the README describes.
func TestAnotherModuleCanUseThisOneAsTheReadmeSays(t *testing.T) {
	t.Parallel()
	code := goBlocks(t, "../README.md")
	if len(code) != 3 {
		t.Fatalf("the README has %d blocks of Go, want a program, its hooks and its test", len(code))
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	ways := regexp.MustCompile("`(go (?:mod edit|work) [^`]+)`").FindAllSubmatch(readme, -1)
	if len(ways) != 2 {
		t.Fatalf("the README names %d ways, want 2", len(ways))
	}
	tree, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range ways {
		line := strings.ReplaceAll(string(way[1]), "../prefork", tree)
		t.Run(strings.Join(strings.Fields(line)[:2], " "), func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"main.go": code[0], "hooks.go": hooksHeader + code[1], "main_test.go": testHeader + code[2],
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run := func(line string) {
				t.Helper()
				command := exec.Command("sh", "-ec", line)
				command.Dir = dir
				// The sums of modules in the cache were checked when they were downloaded.
				command.Env = append(os.Environ(), "GOFLAGS=", "GOSUMDB=off")
				out, err := command.CombinedOutput()
				if err != nil && unreachable.Match(out) {
					needtool.Skip(t, "the module cache lacks what %s needs", line)
				}
				if err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
			}
			run("go mod init example.com/hello")
			run(line)
			run("go vet . && go test -count=1 .")
		})
	}
}
