package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command of docs/load-testing.md works as it is written, but for its
// ports and paths, which may be in use here, and its durations, which are a
// second.
func TestTheCommandsOfTheLoadTestingDocumentWork(t *testing.T) {
	book, err := os.ReadFile("../docs/load-testing.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	bin := filepath.Dir(Program(t, "prefork/cmd/prefork"))
	here := strings.NewReplacer("127.0.0.1:9999", freePort(t), "127.0.0.1:8080", freePort(t), "/tmp/", dir+"/")
	lasts := regexp.MustCompile(`(-d |@)\d+s`)
	served, asked := 0, 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(book), -1) {
		for line := range strings.Lines(block[1]) {
			line = lasts.ReplaceAllString(here.Replace(strings.TrimSpace(line)), "${1}1s")
			command := exec.Command("sh", "-c", "exec "+line)
			command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
			if strings.HasPrefix(line, "prefork serve ") {
				_, control, _ := strings.Cut(line, "--control ")
				StartCommand(t, control, command).WaitState("running")
				served++
				continue
			}
			if code, out, errs := execute(t, command); code != 0 {
				t.Errorf("%s\nexit status %d\n%s%s", line, code, out, errs)
			}
			asked++
		}
	}
	if served < 2 || asked < 10 {
		t.Errorf("the document has %d servers and %d commands", served, asked)
	}
	if _, err := os.Stat(filepath.Join(dir, "reload.html")); err != nil {
		t.Error(fmt.Errorf("no plot: %w", err))
	}
}
