// Command testreport reads the output of `go test -json`, prints what `go test`
// would have printed, and counts the skipped tests. A skip that the list does
// not allow is a failure, because a machine without the tools skips their tests.
//
//	go test -json ./... | testreport -allow FILE
//
// The list has lines of the form REGEXP # REASON. The expression matches the
// whole of a skip, as in prefork/master.TestX: master_test.go:9: no pidfds here.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is a line of test2json. Build events have an ImportPath instead of a
// Package.
type event struct{ Action, Package, ImportPath, Test, Output string }

func main() {
	list := flag.String("allow", "", "file with the allowed skips")
	flag.Parse()
	if err := run(*list, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

func run(list string, in io.Reader, out io.Writer) error {
	allowed, err := readAllowed(list)
	if err != nil {
		return err
	}
	counts, outputs := map[string]int{}, map[string]string{}
	allowedFor := map[string]int{}
	var refused []string
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			break
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			fmt.Fprint(out, line) // output of the go command itself
			continue
		}
		name := e.Package + "." + e.Test
		switch {
		case e.Action == "build-output", e.Action == "output" && e.Test == "":
			if e.Output != "PASS\n" {
				fmt.Fprint(out, e.Output)
			}
		case e.Action == "output":
			outputs[name] += e.Output
		case e.Action == "fail":
			counts["fail"]++
			printOutputs(out, outputs, name)
		case e.Action == "skip" && e.Test != "":
			counts["skip"]++
			skip := name + ": " + reasonOf(outputs[name])
			if why, ok := allowed.match(skip); ok {
				allowedFor[why]++
			} else {
				refused = append(refused, skip)
			}
		case e.Action == "pass" && e.Test != "":
			counts["pass"]++
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			delete(outputs, name)
		}
	}
	fmt.Fprintf(out, "%d tests passed, %d skipped\n", counts["pass"], counts["skip"])
	for why, n := range allowedFor {
		fmt.Fprintf(out, "skipped, as allowed: %d: %s\n", n, why)
	}
	for _, skip := range refused {
		fmt.Fprintln(out, "skipped, which is not allowed here:", skip)
	}
	switch {
	case counts["fail"] > 0:
		return errors.New("tests failed")
	case len(refused) > 0:
		return fmt.Errorf("%d tests were skipped that %s does not allow", len(refused), list)
	case counts["pass"] == 0:
		return errors.New("no test ran")
	}
	return nil
}

// printOutputs prints the output of a failed test. If a package failed, for
// example with a panic, it prints the output of all tests that did not end.
func printOutputs(out io.Writer, outputs map[string]string, name string) {
	for _, test := range slices.Sorted(maps.Keys(outputs)) {
		if test == name || strings.HasSuffix(name, ".") && strings.HasPrefix(test, name) {
			fmt.Fprint(out, outputs[test])
			delete(outputs, test)
		}
	}
}

// reasonOf returns the last line of a test's output.
func reasonOf(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.HasPrefix(strings.TrimSpace(lines[i]), "---") {
			return strings.TrimSpace(lines[i])
		}
	}
	return "no reason given"
}

// rule allows skips for a reason.
type rule struct {
	skip *regexp.Regexp
	why  string
}

type rules []rule

func readAllowed(list string) (rules, error) {
	if list == "" {
		return nil, nil
	}
	text, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	var all rules
	for line := range strings.Lines(string(text)) {
		pattern, why, _ := strings.Cut(strings.TrimSpace(line), " # ")
		if pattern == "" || pattern[0] == '#' {
			continue
		}
		skip, err := regexp.Compile("^(?:" + pattern + ")$")
		if err == nil && why == "" {
			err = errors.New("no reason")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", list, line, err)
		}
		all = append(all, rule{skip, why})
	}
	return all, nil
}

// match returns the reason why a skip is allowed.
func (r rules) match(skip string) (string, bool) {
	for _, rule := range r {
		if rule.skip.MatchString(skip) {
			return rule.why, true
		}
	}
	return "", false
}
