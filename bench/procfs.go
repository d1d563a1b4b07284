package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"prefork/internal/cpu"
)

// field reads a number from a file of "Name: number" lines, such as proc_pid_status(5)
// and proc_meminfo(5).
func field(path, name string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if value, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			if words := strings.Fields(string(value)); len(words) > 0 {
				return strconv.ParseInt(words[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// treeKB is the memory that a process and all below it have for themselves, in KiB:
// what is not a file's.
func treeKB(root int) (int64, error) {
	return overTree(root, func(pid int) (int64, error) { return field(fmt.Sprintf("/proc/%d/status", pid), "RssAnon") })
}

func overTree(root int, of func(pid int) (int64, error)) (sum int64, err error) {
	members, err := cpu.Members(root)
	if err != nil {
		return 0, err
	}
	for _, pid := range members {
		n, err := of(pid)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// openFiles counts the descriptors of a process.
func openFiles(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list), err
}

// sleeps counts how often the threads of a process have gone to sleep by themselves:
// each time they were woken before.
func sleeps(pid int) (sum int64, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	for _, task := range tasks {
		n, err := field(task, "voluntary_ctxt_switches")
		if err != nil {
			continue // the thread has ended
		}
		sum += n
	}
	return sum, nil
}

// acceptThreads returns the threads of a process that wait in an epoll instance for one
// of the listening sockets, as paths of /proc.
func acceptThreads(pid int, listeners []string) []string {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(tasks, func(task string) bool { return !waitsFor(pid, task, listeners) })
}

// waitsFor looks at the system call that a thread is in (proc_pid_syscall(5)): its first
// argument is the epoll instance, whose descriptors fdinfo lists (proc_pid_fdinfo(5)).
func waitsFor(pid int, task string, listeners []string) bool {
	call, err := os.ReadFile(task + "/syscall")
	if err != nil {
		return false
	}
	words := strings.Fields(string(call))
	if len(words) < 2 {
		return false // it runs
	}
	fd, err := strconv.ParseUint(words[1], 0, 31)
	if err != nil {
		return false
	}
	if link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil || link != "anon_inode:[eventpoll]" {
		return false
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "tfd:" {
			continue
		}
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, f[1])); err == nil && slices.Contains(listeners, link) {
			return true
		}
	}
	return false
}

// listeningSockets returns the sockets that listen on an IPv4 address (proc_net_tcp(5)),
// as the links of descriptors name them.
func listeningSockets(address string) ([]string, error) {
	_, port, _ := strings.Cut(address, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	table, err := os.Open("/proc/net/tcp")
	if err != nil {
		return nil, err
	}
	defer table.Close()
	const local, state, inode = 1, 3, 9
	var found []string
	suffix := fmt.Sprintf(":%04X", n)
	lines := bufio.NewScanner(table)
	lines.Scan() // the header
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) <= inode || f[state] != "0A" {
			break // those that listen are first, before up to 100,000 of past connections
		}
		if strings.HasSuffix(f[local], suffix) {
			found = append(found, "socket:["+f[inode]+"]")
		}
	}
	return found, lines.Err()
}
