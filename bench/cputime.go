package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"prefork/internal/cpu"
)

// tick is the unit of /proc: USER_HZ is 100 in the ABI of every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// machineCPU returns the CPU time that all processors together have not been
// idle, since boot. The time that a hypervisor took is in it: like that of other
// processes, it was not ours.
func machineCPU() (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read machine's CPU time: %w", err)
	}
	return parseMachine(data)
}

// parseMachine reads the first line of /proc/stat (proc_stat(5)).
func parseMachine(data []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	fields := bytes.Fields(line)
	// cpu user nice system idle iowait irq softirq steal; guests are in user.
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("parse /proc/stat: first line is %q", line)
	}
	var busy time.Duration
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse /proc/stat: %w", err)
		}
		busy += time.Duration(n) * tick
	}
	return busy, nil
}

// How a tree is known to have come to rest: it used next to nothing for a
// few looks in a row. Between its looks a server may still have timers.
const (
	look      = 20 * time.Millisecond
	looks     = 3
	restless  = time.Millisecond
	settleMax = 2 * time.Second
)

// settled waits until the tree has come to rest, for two seconds at most, and
// returns its reading: what follows an answer, such as the closing of the
// connection, the end of a process and the start of the next, belongs to the
// request's price.
func settled(root int) (time.Duration, error) {
	last, err := cpu.Tree(root)
	if err != nil {
		return 0, err
	}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	calm := 0
	for deadline := time.Now().Add(settleMax); calm < looks && time.Now().Before(deadline); {
		<-ticker.C
		now, err := cpu.Tree(root)
		if err != nil {
			return 0, err
		}
		if calm++; now-last > restless {
			calm = 0
		}
		last = now
	}
	return last, nil
}
