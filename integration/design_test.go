package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/design.md follows a signal and a connection through the code. It names
// each step as `function`, `function` (file.go). The functions and files must
// exist.
func TestTheDesignNamesFunctionsWhereTheyAre(t *testing.T) {
	text, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile("((?:`[\\w.]+`(?:,| and)? *)+)\\(([^)]*\\.go[^)]*)\\)").FindAllStringSubmatch(strings.ReplaceAll(string(text), "\n", " "), -1)
	if len(steps) < 20 {
		t.Errorf("found only %d steps", len(steps))
	}
	for _, step := range steps {
		var code []byte
		for _, file := range regexp.MustCompile(`[\w/]+\.go`).FindAllString(step[2], -1) {
			// In the page, policy/ means master/policy/, and a file without a
			// directory is in master/.
			found := false
			for _, path := range []string{filepath.Join("../master", file), filepath.Join("..", file)} {
				if source, err := os.ReadFile(path); err == nil {
					code, found = append(code, source...), true
					break
				}
			}
			if !found {
				t.Errorf("%s does not exist", file)
			}
		}
		for _, name := range regexp.MustCompile("(\\w+)`").FindAllStringSubmatch(step[1], -1) {
			if !regexp.MustCompile(`(?m)^(func (\(.*?\) )?|type )` + name[1] + `\b`).Match(code) {
				t.Errorf("%s has no %s", step[2], name[1])
			}
		}
	}
}
