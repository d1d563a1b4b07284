// Command mutants changes the code so that it breaks a promise, one promise at a
// time, and runs the tests that should fail. mutants.txt has the list and its
// format. No file of the tree is changed: the go command gets each mutant
// through an overlay.
//
//	go run ./mutants [-sample N] [-seed N] [-parallel N] [-run REGEXP]
//
// It exits with 1 if a mutant survives, does not build or is stale. A mutant is
// stale if its text is not found exactly once, or its tests do not exist.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// limit bounds the tests of one mutant, because a mutant may hang.
const limit = 90 * time.Second

// mutant is one entry of the list.
type mutant struct {
	name, breaks, in, from, to string
	pkg, run                   string // the tests that should fail
	line                       int
}

// outcome is the result for a mutant.
type outcome string

const (
	killed   outcome = "killed"
	survived outcome = "survived"
	stale    outcome = "stale"
	unbuilt  outcome = "unbuilt"
)

func main() {
	list := flag.String("list", "mutants/mutants.txt", "file with the mutants")
	root := flag.String("root", "..", "directory of the module")
	sample := flag.Int("sample", 0, "how many mutants to choose at random; 0 is all")
	seed := flag.Uint64("seed", 0, "seed of the choice; 0 is the date")
	parallel := flag.Int("parallel", 2, "how many at a time")
	pattern := flag.String("run", "", "only mutants whose name or file matches")
	flag.Parse()
	if err := run(*list, *root, *sample, *seed, *parallel, *pattern); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// choose returns the mutants that match pattern, or a random sample of them.
func choose(mutants []mutant, pattern string, sample int, seed uint64) ([]mutant, error) {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return !match.MatchString(m.name) && !match.MatchString(m.in) })
	if sample > 0 && sample < len(mutants) {
		if seed == 0 {
			year, month, day := time.Now().UTC().Date()
			seed = uint64(year*10000 + int(month)*100 + day)
		}
		fmt.Printf("%d of %d mutants, -seed %d\n", sample, len(mutants), seed)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
		mutants = mutants[:sample]
	}
	return mutants, nil
}

func run(list, root string, sample int, seed uint64, parallel int, pattern string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close()
	mutants, err := parse(f)
	if err != nil {
		return fmt.Errorf("%s:%w", list, err)
	}
	if mutants, err = choose(mutants, pattern, sample, seed); err != nil {
		return err
	}
	start := time.Now()
	if err := testUnchanged(root, mutants); err != nil {
		return err
	}
	fmt.Printf("the tests pass without a mutant (%.0fs)\n", time.Since(start).Seconds())
	dir, err := os.MkdirTemp("", "prefork-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	counts := map[outcome]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	queue := make(chan mutant)
	for range max(parallel, 1) {
		group.Go(func() {
			for m := range queue {
				start := time.Now()
				what, detail := try(root, dir, m)
				mu.Lock()
				counts[what]++
				fmt.Printf("%-8s %5.1fs  %-34s %s\n", what, time.Since(start).Seconds(), m.name, m.in)
				if what != killed {
					fmt.Printf("         %s:%d: breaks: %s\n         %s\n", list, m.line, m.breaks, strings.ReplaceAll(detail, "\n", "\n         "))
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		queue <- m
	}
	close(queue)
	group.Wait()
	fmt.Printf("%d mutants: %d killed, %d survived, %d stale, %d not built; %.0fs\n", len(mutants),
		counts[killed], counts[survived], counts[stale], counts[unbuilt], time.Since(start).Seconds())
	if counts[killed] != len(mutants) || len(mutants) == 0 {
		return errors.New("not every mutant was killed")
	}
	return nil
}

// parse reads the list. mutants.txt explains its format.
func parse(r io.Reader) ([]mutant, error) {
	var mutants []mutant
	names := map[string]bool{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		value = strings.TrimSpace(value)
		if key == "" || key[0] == '#' {
			continue
		}
		if key == "mutant" {
			if value == "" || names[value] {
				return nil, fmt.Errorf("%d: the name %q is empty or not unique", n, value)
			}
			names[value] = true
			mutants = append(mutants, mutant{name: value, line: n})
			continue
		}
		if len(mutants) == 0 {
			return nil, fmt.Errorf("%d: %q before the first mutant", n, key)
		}
		m := &mutants[len(mutants)-1]
		field, known := map[string]*string{"breaks": &m.breaks, "in": &m.in, "from": &m.from, "to": &m.to, "package": &m.pkg, "run": &m.run}[key]
		if !known || *field != "" {
			return nil, fmt.Errorf("%d: %q is unknown or appears twice", n, key)
		}
		*field = value
	}
	for _, m := range mutants {
		if m.breaks == "" || m.in == "" || m.from == "" || m.pkg == "" || m.run == "" {
			return nil, fmt.Errorf("%d: %s has no breaks, in, from, package or run", m.line, m.name)
		}
	}
	return mutants, lines.Err()
}

// testUnchanged runs the tests of all mutants on the unchanged tree.
func testUnchanged(root string, mutants []mutant) error {
	patterns := map[string][]string{}
	for _, m := range mutants {
		if !slices.Contains(patterns[m.pkg], m.run) {
			patterns[m.pkg] = append(patterns[m.pkg], m.run)
		}
	}
	for pkg, all := range patterns {
		if out, err := goTest(root, "", 10*limit, pkg, strings.Join(all, "|")); err != nil {
			return fmt.Errorf("tests of %s fail without a mutant: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// notBuilt matches the output of the go command if a build fails, also inside a
// test that builds a program.
var notBuilt = regexp.MustCompile(`\[(build|setup) failed\]|build \S+: exit status`)

// find returns the path and the text of the file that a mutant changes.
func (m mutant) find(root string) (path, text string, err error) {
	files := []string{filepath.Join(root, m.in)}
	if ext := filepath.Ext(m.in); ext != ".go" && ext != ".tmpl" { // a package
		if files, err = filepath.Glob(filepath.Join(root, m.in, "*.go")); err != nil {
			return "", "", err
		}
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", "", err
		}
		if n := strings.Count(string(data), m.from); n > 0 {
			found, path, text = found+n, file, string(data)
		}
	}
	if found != 1 {
		return "", "", fmt.Errorf("%q is found %d times in %s, want once", m.from, found, m.in)
	}
	return path, text, nil
}

// try runs the tests of a mutant.
func try(root, dir string, m mutant) (outcome, string) {
	path, text, err := m.find(root)
	if err != nil {
		return stale, err.Error()
	}
	changed, overlay := filepath.Join(dir, m.name+".go"), filepath.Join(dir, m.name+".json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err == nil {
		err = os.WriteFile(changed, []byte(strings.Replace(text, m.from, m.to, 1)), 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, replace, 0o600)
	}
	if err != nil {
		return unbuilt, err.Error()
	}
	out, err := goTest(root, overlay, limit, m.pkg, m.run)
	switch {
	case notBuilt.MatchString(out):
		return unbuilt, tail(out)
	case err != nil:
		return killed, ""
	case strings.Contains(out, "no tests to run"):
		return stale, fmt.Sprintf("no test of %s matches %s", m.pkg, m.run)
	}
	return survived, fmt.Sprintf("%s\n=> %s\ngo test %s -run '%s' passes", m.from, m.to, m.pkg, m.run)
}

// goTest runs tests. GOFLAGS passes the overlay also to programs that the tests
// build.
func goTest(root, overlay string, limit time.Duration, pkg, pattern string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit+time.Minute) // a minute for the build
	defer cancel()
	command := exec.CommandContext(ctx, "go", "test", "-count=1", "-short", "-failfast", "-vet=off",
		"-timeout", limit.String(), "-run", pattern, pkg)
	command.Dir, command.Env = root, os.Environ()
	if overlay != "" {
		command.Env = append(command.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that Cancel kills its child processes too
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	out, err := command.CombinedOutput()
	return string(out), err
}

// tail returns the last lines of a text.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
