package policy

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// brake slows the replacement of workers that crash. It has two parts: the
// streak, which doubles the delay with each fast death in a row, and the
// score, a count of crashes in which each weighs half after every half-life.
// Past the budget the service is degraded: every replacement waits the cap.
//
// A degraded service recovers at half the budget, not at the budget, so that
// one crash more or less does not toggle it.
type brake struct {
	streak   int
	lastFast time.Duration // when the streak last grew

	score    float64
	scoredAt time.Duration

	degraded   bool
	recoversAt time.Duration // if degraded: when it will no longer be
}

// crash counts one and returns how long the replacement waits, and whether
// the budget has just been spent.
func (b *brake) crash(now time.Duration, fast bool, c *Config, r *random) (delay time.Duration, spent bool) {
	age := float64(now-b.scoredAt) / float64(c.CrashHalfLife)
	b.score = b.score*math.Exp2(-age) + 1
	b.scoredAt = now
	if fast {
		delay = b.prolong(now, c)
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

// backoff is BackoffBase, doubled that many times, up to BackoffCap.
func (c *Config) backoff(doublings int) time.Duration {
	if shift := min(doublings, 32); c.BackoffBase <= c.BackoffCap>>shift {
		return c.BackoffBase << shift
	}
	return c.BackoffCap
}

// prolong adds one to the streak and returns the delay that it has come to.
func (b *brake) prolong(now time.Duration, c *Config) time.Duration {
	delay := c.backoff(b.streak)
	b.streak++
	b.lastFast = now
	return delay
}

// early counts a worker that left soon after its Ready, which was no crash and
// costs no budget, and returns how long the replacement waits: whoever makes
// workers leave as fast as they come must not make the machine spin.
func (b *brake) delayEarly(now time.Duration, c *Config, r *random) time.Duration {
	delay := b.prolong(now, c)
	if b.degraded {
		delay = c.BackoffCap
	}
	return r.around(delay)
}

// survived tells the brake that a worker lived through its first FastDeath at
// the given time: if that was after the last fast death, the streak is over.
func (b *brake) survived(at time.Duration) {
	if b.streak > 0 && at > b.lastFast {
		b.streak = 0
	}
}

// calm says whether the service has just recovered.
func (b *brake) recover(now time.Duration) bool {
	if !b.degraded || now < b.recoversAt {
		return false
	}
	b.degraded = false
	return true
}

// String says why the service is degraded, or nothing.
func (b *brake) String() string {
	if !b.degraded {
		return ""
	}
	return fmt.Sprintf("workers keep crashing (score %.0f): replacements are slowed down", b.score)
}

// random is a small generator (SplitMix64, by Steele, Lea and Flood): what the
// machine does must depend on its seed alone.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n), or 0 if n is 0. Its bias is of no account
// at the sizes used here.
func (r *random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// around returns d give or take a fifth.
func (r *random) around(d time.Duration) time.Duration {
	fifth := d / 5
	return d - fifth + time.Duration(r.below(uint64(2*fifth)+1))
}

// delay makes w's place wait for its replacement, if it must wait.
func (m *Machine) delayReplacement(w *worker) {
	g := w.gen
	c := &g.config
	wait, spent := m.brake.crash(m.now, m.shortLived(w), c, &m.random)
	if spent {
		m.note(Error, "service degraded", nil, Field{"generation", g.number},
			Field{"backoff", c.BackoffCap}, Field{"error", m.brake.String()})
		m.do(Notify{Status: m.status()})
	}
	m.postpone(w, wait)
}

// delayLeft delays the replacement of a worker that leaves without an order: if
// it left soon after its Ready, and if more of them than the pool has places are
// still there. Otherwise workers that say so and stay would fill the machine.
func (m *Machine) delayAfterLeaving(w *worker) {
	g := w.gen
	if w.served || !m.maintained(g) {
		return
	}
	wait := time.Duration(0)
	if m.shortLived(w) {
		wait = m.brake.delayEarly(m.now, &g.config, &m.random)
	}
	still := g.count(func(o *worker) bool { return o.state == WorkerDraining && o.cause == causeLeaving })
	if over := still - g.places(); over > 0 {
		wait = max(wait, m.random.around(g.config.backoff(over-1)))
	}
	m.postpone(w, wait)
}

// short says whether w's life was so short that its replacement must wait.
func (m *Machine) shortLived(w *worker) bool {
	m.noteSurvivors(w.gen)
	limit := w.gen.config.FastDeath
	if !w.everReady || m.now-w.readyAt <= limit {
		return true
	}
	m.brake.survived(w.readyAt + limit)
	return false
}

// postpone keeps w's place empty for a while.
func (m *Machine) postpone(w *worker, wait time.Duration) {
	if wait <= 0 {
		return
	}
	w.gen.pending = append(w.gen.pending, m.now+wait)
	m.note(Info, "replacement delayed", nil, Field{"slot", w.slot}, Field{"generation", w.gen.number},
		Field{"backoff", wait}, Field{"attempt", m.brake.streak})
}

// observe tells the brake who of g has survived its first moments.
func (m *Machine) noteSurvivors(g *generation) {
	for _, w := range g.members {
		if at := w.readyAt + g.config.FastDeath; w.everReady && at <= m.now {
			m.brake.survived(at)
		}
	}
}
