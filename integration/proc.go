package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Footprint is what a process holds. It must be the same before and after a
// test.
type Footprint struct {
	Descriptors []string // the target of each, sorted
	Children    int      // alive
	Zombies     int      // children that have not been reaped
}

// FootprintOf reads the footprint of a process from /proc.
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
	// Without this file, which not every kernel has, Children finds nothing.
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

// kind strips the inode number of a socket or pipe.
func kind(target string) string {
	name, _, _ := strings.Cut(target, ":[")
	return name
}

// String returns the counts. Diff returns the differences.
func (f Footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d children, %d zombies", len(f.Descriptors), f.Children, f.Zombies)
}

// Diff lists the differences between f and base, or returns "".
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
		return nil // the pattern is valid
	}
	var pids []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// Alive reports whether the process exists and is not a zombie.
func Alive(pid int) bool {
	state := stateOf(pid)
	return state != 0 && state != 'Z' && state != 'X'
}

// stateOf returns the state letter of /proc/PID/stat, or 0 if the process does
// not exist.
func stateOf(pid int) byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may contain any character, including ")".
	_, rest, found := strings.Cut(string(data[max(strings.LastIndexByte(string(data), ')'), 0):]), ") ")
	if !found || rest == "" {
		return 0
	}
	return rest[0]
}
