package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/value"
)

// From when on the generator makes its own figures doubtful.
const (
	busyLimit = 0.95
	lateLimit = 10 * time.Millisecond
)

func (r *Run) generator(elapsed int64, res *Result) Generator {
	g := Generator{CPUS: r.usage.own.Seconds(), Warnings: []string{}}
	frozen := time.Duration(0)
	for _, l := range r.loops {
		if elapsed > 0 {
			g.BusyShare = max(g.BusyShare, float64(l.cpuUsed)/float64(elapsed))
		}
		g.LateMaxS = max(g.LateMaxS, seconds(l.lateMax))
		g.Unsent += l.unsent
		frozen = max(frozen, time.Duration(l.frozenMax))
	}
	g.BusyShare = min(g.BusyShare, 1)
	warn := func(format string, args ...any) { g.Warnings = append(g.Warnings, fmt.Sprintf(format, args...)) }
	if g.BusyShare > busyLimit {
		warn("The generator was at its limit: its busiest thread used %.0f %% of its time. The server may be faster than this; use more --loops, or fewer connections.", 100*g.BusyShare)
	}
	if frozen > 0 {
		warn("The generator did not run for %s. No request timed out for that, but the latencies contain it.", value.RoundedText(frozen))
	}
	if late := time.Duration(g.LateMaxS * 1e9); late > lateLimit {
		warn("The generator was late: it sent a request %s after it was due although a connection was free. The corrected latencies contain that; something else used the processors.", value.RoundedText(late))
	}
	if g.Unsent > 0 {
		warn("%d requests were due and never sent, because no connection was free: the schedule was faster than the server, and the corrected latencies would be even higher. Try more --connections to see whether the server is slow or there were too few.", g.Unsent)
	}
	if n := res.Errors[OutOfPorts]; n > 0 {
		warn("%d connects failed because no local port was free. This is not the server's fault: use more --source addresses, such as 127.0.0.2, or persistent connections.", n)
	}
	if n := res.Errors[OutOfFiles]; n > 0 {
		warn("%d connects failed because no descriptor was free. This is not the server's fault: raise the limit of open files, or use fewer connections.", n)
	}
	return g
}

func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
