package master

import (
	"slices"
	"strings"
	"time"

	"prefork/ipc"
)

// testTime limits the self-test.
const testTime = 5 * time.Second

// forkTest is the self-test: a process of this build forks some hundred times and looks
// what comes of it, before the first worker is forked. It runs once in the master's
// life.
type forkTest struct {
	begun, ended bool
	begunAt      time.Duration // on the policy's clock
	failure      string        // if ended: why no worker is forked, or ""
}

func (t *forkTest) good() bool { return t.ended && t.failure == "" }

// testWait is how long workers wait for the self-test: the start of the server must not
// be late because of it. Tests make it longer.
var testWait = 300 * time.Millisecond

// late reports whether workers are executed until the self-test ends.
func (t *forkTest) late(now time.Duration) bool {
	return t.begun && !t.ended && now >= t.begunAt+testWait
}

// testForks starts the self-test, unless that was done.
func (m *Master) testForks(g *generation) {
	if m.forkTest.begun {
		if f := g.forking; m.forkTest.failure != "" {
			m.stopForking(f, m.forkTest.failure)
		}
		return
	}
	m.forkTest.begun, m.forkTest.begunAt = true, m.now()
	z := &zygote{generation: g.number}
	if err := m.launch(z, g, ipc.ZygoteTest, nil); err != nil {
		m.endForkTest(err.Error())
		return
	}
	z.due = m.now() + testTime
}

// forkTested handles the outcome of the self-test, which z runs: failure is empty if it
// was good.
func (m *Master) forkTested(z *zygote, failure string) {
	if m.forkTest.ended {
		return
	}
	if failure == "" {
		z.cause = causeTested
		z.exitsBy(m)
	} else if z.cause == "" {
		z.cause = "self-test failed"
	}
	m.endForkTest(failure)
}

func (m *Master) endForkTest(failure string) {
	m.forkTest.ended = true
	if failure != "" {
		m.forkTest.failure = "the self-test failed: " + failure
	}
	for _, g := range m.generations {
		if f := g.forking; f == nil {
			continue
		} else if m.forkTest.failure != "" {
			m.stopForking(f, m.forkTest.failure)
		} else {
			m.sendForks(f)
		}
	}
}

// onOneProcessor sets GOMAXPROCS=1. The outcome is for all generations. If one has
// another value, its zygote says so, and the next one may have 1.
func onOneProcessor(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool { return strings.HasPrefix(entry, procsVariable+"=") })
	return append(env, procsVariable+"=1")
}
