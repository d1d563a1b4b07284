package cpu

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// tick is the unit of /proc: USER_HZ is 100 in the ABI of every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// tries bounds how often a reading is begun again because a process came or
// went meanwhile.
const tries = 5

// Tree returns the CPU time that the process root and all below it have used
// so far. The difference of two readings is the cost of what lay between. A
// descendant whose parent died before it, and that therefore has another
// parent now, is not counted.
func Tree(root int) (sum time.Duration, err error) {
	for range tries {
		before, err := tree(root)
		if err != nil {
			return 0, err
		}
		sum = 0
		for pid, p := range before {
			used, err := processClock(pid)
			if err != nil && !errors.Is(err, os.ErrProcessDone) {
				return 0, err
			}
			sum += used + p.reaped
		}
		after, err := tree(root)
		if err != nil {
			return 0, err
		}
		if maps.Equal(before, after) {
			break
		}
	}
	return sum, nil // one child may be missing or counted twice
}

// tree returns the process root and all below it.
func tree(root int) (map[int]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	if _, ok := all[root]; !ok {
		return nil, fmt.Errorf("list processes below %d: %w", root, os.ErrProcessDone)
	}
	members := map[int]process{}
	for _, pid := range descendants(all, root) {
		members[pid] = all[pid]
	}
	return members, nil
}

// process is what /proc/PID/stat says of a process.
type process struct {
	parent int
	reaped time.Duration // CPU time of the children that it has waited for
}

func processes() (map[int]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make(map[int]process, len(entries))
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has gone
		}
		p, err := parseStat(data)
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
		all[pid] = p
	}
	return all, nil
}

// parseStat reads a line of /proc/PID/stat (proc_pid_stat(5)). The name in its
// parentheses may contain anything, so the fields are counted after the last
// one that closes.
func parseStat(line []byte) (process, error) {
	i := bytes.LastIndexByte(line, ')')
	fields := bytes.Fields(line[i+1:])
	const ppid, cutime, cstime = 4 - 3, 16 - 3, 17 - 3 // fields[0] is the third
	if i < 0 || len(fields) <= cstime {
		return process{}, fmt.Errorf("parse stat %q: too few fields", line)
	}
	var n [3]int64
	for j, at := range []int{ppid, cutime, cstime} {
		v, err := strconv.ParseInt(string(fields[at]), 10, 64)
		if err != nil {
			return process{}, fmt.Errorf("parse stat %q: %w", line, err)
		}
		n[j] = v
	}
	return process{parent: int(n[0]), reaped: time.Duration(n[1]+n[2]) * tick}, nil
}

func descendants(all map[int]process, root int) []int {
	children := make(map[int][]int, len(all))
	for pid, p := range all {
		children[p.parent] = append(children[p.parent], pid)
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// processClock reads the CPU clock of a whole process, as
// clock_getcpuclockid(3) names it.
func processClock(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED: user and system together, in nanoseconds
	var ts syscall.Timespec
	id := ^int32(pid)<<3 | sched
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	switch errno {
	case 0:
		return time.Duration(ts.Nano()), nil
	case syscall.EINVAL, syscall.ESRCH: // no such process
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, os.ErrProcessDone)
	}
	return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, errno)
}

// Members returns the process root and all below it, as they are now.
func Members(root int) ([]int, error) {
	members, err := tree(root)
	return slices.Sorted(maps.Keys(members)), err
}

// Roots returns those of the processes that are not below another of them.
func Roots(pids []int) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	roots := slices.Clone(pids)
	for _, pid := range pids {
		below := descendants(all, pid)[1:]
		roots = slices.DeleteFunc(roots, func(root int) bool { return slices.Contains(below, root) })
	}
	return roots, nil
}
