package master

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// process is what the kernel says of a worker's process.
type process struct {
	rss       uint64        // resident bytes
	cpu       time.Duration // processor time, user and system
	suspended bool          // stopped by a signal or held by a tracer: it cannot run
	started   uint64        // in ticks since the machine's start; tells it from a later one of the same number
}

// tick is the unit of the times in /proc/PID/stat: the kernel's USER_HZ is 100
// on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// readProcess reads proc_pid_stat(5); all is zero if the process is gone.
func readProcess(pid int) process {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}
	}
	// The second field is the name in parentheses, and may hold anything. What
	// the manual page calls field n is fields[n-3].
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 22 {
		return process{}
	}
	number := func(n int) uint64 {
		v, err := strconv.ParseUint(string(fields[n-3]), 10, 63)
		if err != nil {
			return 0
		}
		return v
	}
	return process{
		rss:       number(24) * uint64(os.Getpagesize()),
		cpu:       time.Duration(number(14)+number(15)) * tick,
		suspended: bytes.EqualFold(fields[0], []byte("t")),
		started:   number(22),
	}
}

// ownCPU returns the processor time of this process.
func ownCPU() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
