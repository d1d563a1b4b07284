// Command startcost prints what the start of a worker costs, from exec to Ready: page
// faults, threads and processor time. Beside it are programs that do nothing, from
// exec to exit.
//
//	go run ./integration/startcost [-n STARTS]
//
// It asserts nothing: the figures depend on the machine. Those of one run can be
// compared.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// cost is one start.
type cost struct {
	cpu     time.Duration
	wall    time.Duration
	faults  int
	threads int // 0 if the process has ended
}

// row is a program and its starts.
type row struct {
	name  string
	start func() (cost, error)
	costs []cost
}

func main() {
	n := flag.Int("n", 20, "starts of each program")
	flag.Parse()
	if err := run(*n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(n int) error {
	dir, err := os.MkdirTemp("", "startcost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rows, err := build(dir)
	if err != nil {
		return err
	}
	for range n { // in turns, because the speed of the machine changes
		for i := range rows {
			c, err := rows[i].start()
			if err != nil {
				return fmt.Errorf("start %s: %w", rows[i].name, err)
			}
			rows[i].costs = append(rows[i].costs, c)
		}
	}
	fmt.Printf("%-34s %11s %8s %8s %8s   (median of %d)\n", "", "page faults", "threads", "CPU", "time", n)
	for _, r := range rows {
		threads := "-"
		if t := median(r.costs, func(c cost) int { return c.threads }); t > 0 {
			threads = strconv.Itoa(t)
		}
		fmt.Printf("%-34s %11d %8s %5.2f ms %5.2f ms\n", r.name, median(r.costs, func(c cost) int { return c.faults }), threads,
			milliseconds(median(r.costs, func(c cost) time.Duration { return c.cpu })),
			milliseconds(median(r.costs, func(c cost) time.Duration { return c.wall })))
	}
	return nil
}

func median[T cmp.Ordered](costs []cost, of func(cost) T) T {
	var values []T
	for _, c := range costs {
		values = append(values, of(c))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// build builds the programs, statically as `make build` does.
func build(dir string) ([]row, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, pkg := range map[string]string{
		"daemon": "./cmd/prefork", "minimal": "./integration/startcost/minimal", "empty": "./integration/startcost/empty",
	} {
		command := exec.Command("go", "build", "-o", path(name), pkg)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	rows := []row{{name: "empty static Go program", start: empty(path("empty"))}}
	if cc, err := exec.LookPath("cc"); err == nil {
		command := exec.Command(cc, "-static", "-x", "c", "-o", path("c"), "-")
		command.Stdin = bytes.NewBufferString("int main(void) { return 0; }\n")
		if command.Run() == nil { // else there is no static C library
			rows = append(rows, row{name: "empty static C program", start: empty(path("c"))})
		}
	}
	// In mode forking the master logs "worker ready" in the level debug.
	for _, mode := range []string{"threading", "forking"} {
		rows = append(rows,
			row{name: "worker of the daemon, " + mode, start: worker(path("daemon"),
				"serve", "--mode", mode, "--workers", "1", "--listen", "tcp://127.0.0.1:0", "--control", "none", "--log-format", "json", "--log-level", "debug")},
			row{name: "worker of a small program, " + mode, start: worker(path("minimal"), mode)})
	}
	return rows, nil
}

// empty starts a program that ends at once.
func empty(path string) func() (cost, error) {
	return func() (cost, error) {
		command := exec.Command(path)
		began := time.Now()
		if err := command.Run(); err != nil {
			return cost{}, err
		}
		usage := command.ProcessState.SysUsage().(*syscall.Rusage)
		return cost{
			cpu:    command.ProcessState.UserTime() + command.ProcessState.SystemTime(),
			wall:   time.Since(began),
			faults: int(usage.Minflt),
		}, nil
	}
}

// worker starts a server until its first worker is ready.
func worker(path string, args ...string) func() (cost, error) {
	return func() (c cost, err error) {
		command := exec.Command(path, args...)
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		log, err := command.StderrPipe()
		if err != nil {
			return cost{}, err
		}
		if err := command.Start(); err != nil {
			return cost{}, err
		}
		defer func() {
			_ = command.Process.Signal(syscall.SIGQUIT)
			_ = command.Wait() // it was stopped
		}()
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			var line struct {
				Message  string  `json:"msg"`
				PID      int     `json:"pid"`
				Duration float64 `json:"duration_s"`
			}
			if json.Unmarshal(lines.Bytes(), &line) != nil || line.Message != "worker ready" {
				continue
			}
			c, err = read(line.PID)
			c.wall = time.Duration(line.Duration * float64(time.Second))
			return c, err
		}
		return cost{}, errors.New("no worker was ready")
	}
}

// read reads what a process has cost so far. See proc_pid_stat(5) and
// proc_pid_schedstat(5).
func read(pid int) (c cost, err error) {
	proc := fmt.Sprintf("/proc/%d", pid)
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return cost{}, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third on
	if len(fields) < 20-2 {
		return cost{}, fmt.Errorf("%s/stat: %q", proc, stat)
	}
	c.faults, _ = strconv.Atoi(string(fields[10-3]))
	c.threads, _ = strconv.Atoi(string(fields[20-3]))
	tasks, err := filepath.Glob(proc + "/task/*/schedstat")
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		var ns int64
		if _, scanErr := fmt.Sscan(string(text), &ns); err == nil && scanErr == nil {
			c.cpu += time.Duration(ns)
		}
	}
	return c, err
}
