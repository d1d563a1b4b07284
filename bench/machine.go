package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// provenance says where, when and how a suite was measured.
type provenance struct {
	Date       string            `json:"date"` // RFC 3339, UTC
	Command    string            `json:"command"`
	Commit     string            `json:"commit"`
	Machine    string            `json:"machine"` // the processor's model
	Processors int               `json:"processors"`
	Kernel     string            `json:"kernel"`
	Load       string            `json:"load_average"` // before the run
	Versions   map[string]string `json:"versions"`     // of Go, the tools and the peers' modules
}

func describeRun(ctx context.Context, command string) provenance {
	return provenance{
		Date:       time.Now().UTC().Format(time.RFC3339),
		Command:    command,
		Commit:     commit(ctx),
		Machine:    processorModel(),
		Processors: processors(),
		Kernel:     kernel(),
		Load:       loadAverage(),
		Versions:   versions(ctx),
	}
}

// commit is the revision of the work tree, with "+" if more than the documents
// was changed.
func commit(ctx context.Context) string {
	revision, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=10", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	text := strings.TrimSpace(string(revision))
	changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ":/", ":(top,exclude)docs").Output()
	if err != nil || len(changes) > 0 {
		text += "+"
	}
	return text
}

// versions asks the tools that are there, and reads the modules of the peers.
func versions(ctx context.Context) map[string]string {
	found := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}
	for _, tool := range []struct{ name, program, arg string }{
		{"gcc", "gcc", "-dumpfullversion"}, {"Python", "python3", "-V"}, {"nginx", "nginx", "-v"}, {"wrk", "wrk", "-v"},
	} {
		// wrk -v prints its version and exits with 1.
		out, _ := exec.CommandContext(ctx, tool.program, tool.arg).CombinedOutput()
		if v := versionNumber.Find(out); v != nil {
			found[tool.name] = string(v)
		}
	}
	files, _ := filepath.Glob("peers/*/go.mod") // the pattern is correct
	for _, file := range append(files, "go.mod") {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the report then lacks a version, and loses nothing else
		}
		for _, m := range directRequirement.FindAllSubmatch(data, -1) {
			// The module that is measured has no version: go.mod replaces it.
			if version := string(m[2]); version != "v0.0.0" {
				found[string(m[1])] = version
			}
		}
	}
	return found
}

var (
	versionNumber     = regexp.MustCompile(`[0-9]+\.[0-9]+(\.[0-9]+)*`)
	directRequirement = regexp.MustCompile(`(?m)^(?:require\s+|\s+)([\w.]+/[^\s]+) (v[^\s]+)$`)
)

// processors is how many there are for this program and the servers alike:
// they inherit its affinity.
func processors() int { return runtime.NumCPU() }

func processorModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "unknown"
	}
	var b strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}

func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(data), " ")
	return one
}
