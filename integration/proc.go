package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Footprint is what a process holds: it must be the same before and after any
// storm.
type Footprint struct {
	Descriptors []string // what each points at, sorted
	Children    int      // living
	Zombies     int      // children that nobody has reaped
}

// FootprintOf reads the footprint of a living process from /proc.
func FootprintOf(pid int) (Footprint, error) {
	var f Footprint
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return f, err
	}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue // closed since
		}
		f.Descriptors = append(f.Descriptors, kind(target))
	}
	sort.Strings(f.Descriptors)
	// Not every kernel has the file, and without it no child would be seen.
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)); err != nil {
		return f, err
	}
	for _, child := range Children(pid) {
		if stateOf(child) == 'Z' {
			f.Zombies++
		} else {
			f.Children++
		}
	}
	return f, nil
}

// kind strips the number of a socket or pipe, which differs each time.
func kind(target string) string {
	name, _, _ := strings.Cut(target, ":[")
	return name
}

// String is short; Diff says where two differ.
func (f Footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d children, %d zombies", len(f.Descriptors), f.Children, f.Zombies)
}

// Diff lists what f has more or less of than base, or returns "".
func (f Footprint) Diff(base Footprint) string {
	count := make(map[string]int)
	for _, d := range f.Descriptors {
		count[d]++
	}
	for _, d := range base.Descriptors {
		count[d]--
	}
	var parts []string
	for d, n := range count {
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%+d %s", n, d))
		}
	}
	sort.Strings(parts)
	if f.Children != base.Children {
		parts = append(parts, fmt.Sprintf("%d children instead of %d", f.Children, base.Children))
	}
	if f.Zombies != base.Zombies {
		parts = append(parts, fmt.Sprintf("%d zombies instead of %d", f.Zombies, base.Zombies))
	}
	return strings.Join(parts, ", ")
}

// Children returns the pids of a process's children, zombies included.
func Children(pid int) []int {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil // the pattern is constant: cannot be malformed
	}
	var pids []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has gone
		}
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// Alive reports whether the process runs: it exists and is no zombie.
func Alive(pid int) bool {
	state := stateOf(pid)
	return state != 0 && state != 'Z' && state != 'X'
}

// stateOf returns the state letter of /proc/PID/stat, or 0 if there is none.
func stateOf(pid int) byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything, a ")" as well.
	_, rest, found := strings.Cut(string(data[max(strings.LastIndexByte(string(data), ')'), 0):]), ") ")
	if !found || rest == "" {
		return 0
	}
	return rest[0]
}
