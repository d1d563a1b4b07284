package master

import (
	"cmp"
	"slices"
	"time"
)

// spawnMethod is how the generation that serves gets its workers, and why they are not
// forked if they should be. Both are empty if a worker serves many connections.
func (m *Master) spawnMethod() (method, reason string) {
	f := m.current.forking
	switch {
	case !m.current.config.Policy.OneShot:
		return "", ""
	case f == nil:
		return "exec", ""
	case f.off != "":
		return "exec", f.off
	case m.forkTest.late(m.now()):
		return "exec", "the self-test has not ended yet"
	case f.zygote == nil && f.lost != "", f.hurried:
		return "exec", "the zygote is gone: " + f.lost
	}
	return "fork", ""
}

// zygoteRows describes the zygotes, without the process that runs the self-test.
func (m *Master) zygoteRows() (rows []ZygoteRow) {
	for z := range m.zygotes {
		if z.of == nil {
			continue
		}
		row := ZygoteRow{
			PID: z.pid, Generation: z.generation, State: "starting",
			AgeS: time.Since(z.started).Seconds(), RSSBytes: z.process.rss, CPUS: z.process.cpu.Seconds(),
		}
		switch {
		case z.cause != "":
			row.State = "exiting"
		case z.ready:
			row.State = "ready"
			fallthrough
		default:
			row.Waiting = len(z.asked) + len(z.of.waiting)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b ZygoteRow) int { return cmp.Or(a.Generation-b.Generation, a.PID-b.PID) })
	return rows
}
