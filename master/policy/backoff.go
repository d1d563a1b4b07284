package policy

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// brake delays the replacement of workers that crash, by two counts. Each fast
// death in a row doubles the delay. The score counts crashes, each for half
// after every half-life; above the budget the service is degraded, and every
// replacement waits the maximum.
//
// A degraded service recovers at half the budget, so that it does not change
// with every crash.
type brake struct {
	fastDeaths int
	lastFast   time.Duration // the last fast death

	score    float64
	scoredAt time.Duration

	degraded   bool
	recoversAt time.Duration // if degraded
}

// crash counts a crash. It returns how long the replacement waits, and whether
// the budget is used up by this crash.
func (b *brake) crash(now time.Duration, fast bool, c *Config, r *random) (delay time.Duration, spent bool) {
	age := float64(now-b.scoredAt) / float64(c.CrashHalfLife)
	b.score = b.score*math.Exp2(-age) + 1
	b.scoredAt = now
	if fast {
		delay = b.lengthenStreak(now, c)
	}
	if !b.degraded && b.score > c.CrashBudget {
		b.degraded, spent = true, true
	}
	if b.degraded {
		delay = c.BackoffCap
		halvings := math.Log2(2 * max(b.score, c.CrashBudget/2) / c.CrashBudget)
		b.recoversAt = now + time.Duration(halvings*float64(c.CrashHalfLife)) + 1
	}
	return r.around(delay), spent
}

// backoff is BackoffBase, doubled that many times, and BackoffCap at most.
func (c *Config) backoff(doublings int) time.Duration {
	if shift := min(doublings, 32); c.BackoffBase <= c.BackoffCap>>shift {
		return c.BackoffBase << shift
	}
	return c.BackoffCap
}

// lengthenStreak counts a fast death and returns the delay.
func (b *brake) lengthenStreak(now time.Duration, c *Config) time.Duration {
	delay := c.backoff(b.fastDeaths)
	b.fastDeaths++
	b.lastFast = now
	return delay
}

// delayEarly counts a worker that left soon after its Ready without a crash,
// and returns how long its replacement waits.
func (b *brake) delayEarly(now time.Duration, c *Config, r *random) time.Duration {
	delay := b.lengthenStreak(now, c)
	if b.degraded {
		delay = c.BackoffCap
	}
	return r.around(delay)
}

// survived tells the brake when a worker outlived FastDeath. A later time than
// the last fast death ends the row.
func (b *brake) survived(at time.Duration) {
	if b.fastDeaths > 0 && at > b.lastFast {
		b.fastDeaths = 0
	}
}

// recover reports whether the service is no longer degraded.
func (b *brake) recover(now time.Duration) bool {
	if !b.degraded || now < b.recoversAt {
		return false
	}
	b.degraded = false
	return true
}

// String returns why the service is degraded, or nothing.
func (b *brake) String() string {
	if !b.degraded {
		return ""
	}
	return fmt.Sprintf("workers keep crashing (score %.0f): replacements are slowed down", b.score)
}

// random is a small generator (SplitMix64, by Steele, Lea and Flood). The
// machine must depend on its seed alone.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n), or 0 if n is 0. Its bias does not matter
// for the numbers used here.
func (r *random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// around returns d, up to a fifth more or less.
func (r *random) around(d time.Duration) time.Duration {
	fifth := d / 5
	return d - fifth + time.Duration(r.below(uint64(2*fifth)+1))
}

// delayReplacement counts a crash of w and delays its replacement if necessary.
func (m *Machine) delayReplacement(w *worker) {
	g := w.gen
	c := &g.config
	wait, spent := m.brake.crash(m.now, m.shortLived(w), c, &m.random)
	if spent {
		m.note(Error, "service degraded", nil, Field{"generation", g.number},
			Field{"backoff", c.BackoffCap}, Field{"error", m.brake.String()})
		m.do(Notify{Status: m.status()})
	}
	m.postpone(w, wait, m.brake.fastDeaths)
}

// delayAfterLeaving delays the replacement of a worker that leaves without an
// order, if it left soon after its Ready, or if more such workers than the pool
// has places have not exited. Otherwise workers that leave and do not exit
// would fill the machine.
func (m *Machine) delayAfterLeaving(w *worker) {
	g := w.gen
	if w.served || !m.maintained(g) {
		return
	}
	wait, attempt := time.Duration(0), 0
	if m.shortLived(w) {
		wait = m.brake.delayEarly(m.now, &g.config, &m.random)
		attempt = m.brake.fastDeaths
	}
	still := g.count(func(o *worker) bool { return o.state == WorkerDraining && o.cause == causeLeaving })
	if over := still - g.places(); over > 0 {
		wait = max(wait, m.random.around(g.config.backoff(over-1)))
		attempt = max(attempt, over)
	}
	m.postpone(w, wait, attempt)
}

// shortLived reports whether w died so early that its replacement must wait.
func (m *Machine) shortLived(w *worker) bool {
	m.noteSurvivors(w.gen)
	limit := w.gen.config.FastDeath
	if !w.everReady || m.now-w.readyAt <= limit {
		return true
	}
	m.brake.survived(w.readyAt + limit)
	return false
}

// postpone keeps w's place empty for a while. attempt says how often that was
// necessary.
func (m *Machine) postpone(w *worker, wait time.Duration, attempt int) {
	if wait <= 0 {
		return
	}
	w.gen.pending = append(w.gen.pending, m.now+wait)
	m.note(Info, "replacement delayed", nil, Field{"slot", w.slot}, Field{"generation", w.gen.number},
		Field{"backoff", wait}, Field{"attempt", attempt})
}

// noteSurvivors tells the brake which workers of g have outlived FastDeath.
func (m *Machine) noteSurvivors(g *generation) {
	for _, w := range g.members {
		if at := w.readyAt + g.config.FastDeath; w.everReady && at <= m.now {
			m.brake.survived(at)
		}
	}
}
