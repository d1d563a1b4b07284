package policy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// MaxSlots bounds Config.Slots, and so the workers of all generations.
const MaxSlots = 4096

// maxDuration bounds every duration of a Config: sums of a few of them and of
// a master's age stay far from overflow.
const maxDuration = 366 * 24 * time.Hour

// WithDefaults returns c with its zero values replaced by the defaults that
// stand beside the fields. It does not judge the others; Validate does.
func (c Config) WithDefaults() Config {
	orInt(&c.Min, 1)
	if c.OneShot {
		orInt(&c.Max, DefaultMaxChildren)
	}
	orInt(&c.Max, c.Min)
	orInt(&c.MinSpare, 1)
	orInt(&c.MaxSpare, c.MinSpare+2)
	orDuration(&c.StartTimeout, 10*time.Second)
	orDuration(&c.Probation, 2*time.Second)
	orDuration(&c.DrainTimeout, 30*time.Second)
	orDuration(&c.KillDelay, 2*time.Second)
	orDuration(&c.WorkerTimeout, 30*time.Second)
	orDuration(&c.DumpDelay, time.Second)
	orDuration(&c.SampleInterval, time.Second)
	orDuration(&c.FastDeath, time.Second)
	orDuration(&c.BackoffBase, 100*time.Millisecond)
	orDuration(&c.BackoffCap, 5*time.Second)
	if c.CrashBudget == 0 {
		c.CrashBudget = 64
	}
	orDuration(&c.CrashHalfLife, time.Minute)
	orInt(&c.BootTries, 3)
	orInt(&c.MaxOldGenerations, 8)
	generations := 2 + min(c.MaxOldGenerations, MaxSlots)
	orInt(&c.Slots, min(min(c.Max, MaxSlots)*generations+16, MaxSlots))
	return c
}

func orInt(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}

func orDuration(p *time.Duration, def time.Duration) {
	if *p == 0 {
		*p = def
	}
}

// Validate returns everything that is wrong with c, after WithDefaults.
func (c Config) Validate() []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for _, f := range []struct {
		name      string
		value     int
		low, high int
	}{
		{"slots", c.Slots, 1, MaxSlots},
		{"min workers", c.Min, 1, MaxSlots},
		{"max workers", c.Max, 1, MaxSlots},
		{"min spare", c.MinSpare, 1, MaxSlots},
		{"max spare", c.MaxSpare, 1, MaxSlots + 2},
		{"boot tries", c.BootTries, 1, MaxSlots},
		{"max old generations", c.MaxOldGenerations, 1, MaxSlots},
	} {
		if f.value < f.low || f.value > f.high {
			fail("%s is %d, want %d to %d", f.name, f.value, f.low, f.high)
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
		low   time.Duration
	}{
		{"start timeout", c.StartTimeout, 1},
		{"probation", c.Probation, -maxDuration},
		{"lame duck", c.LameDuck, -maxDuration},
		{"drain timeout", c.DrainTimeout, 1},
		{"kill delay", c.KillDelay, 1},
		{"worker timeout", c.WorkerTimeout, -maxDuration},
		{"dump delay", c.DumpDelay, 1},
		{"sample interval", c.SampleInterval, time.Millisecond},
		{"recycle age", c.RecycleAge, -maxDuration},
		{"fast death", c.FastDeath, 1},
		{"backoff base", c.BackoffBase, time.Millisecond},
		{"backoff cap", c.BackoffCap, time.Millisecond},
		{"crash half life", c.CrashHalfLife, time.Millisecond},
	} {
		switch {
		case f.value < f.low:
			fail("%s is %v, want at least %v", f.name, f.value, f.low)
		case f.value > maxDuration:
			fail("%s is %v, want at most %v", f.name, f.value, maxDuration)
		}
	}
	if !(c.CrashBudget >= 1 && c.CrashBudget <= 1e6) { // NaN fails as well
		fail("crash budget is %v, want 1 to 1000000", c.CrashBudget)
	}
	return append(errs, c.conflicts()...)
}

// listErrors joins what Validate found.
func listErrors(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return "bad configuration: " + strings.Join(texts, "; ")
}

// conflicts returns what is wrong beyond the bounds of single numbers.
func (c Config) conflicts() []error {
	var errs []error
	if c.WorkerTimeout > 0 && c.WorkerTimeout < MinWorkerTimeout {
		errs = append(errs, fmt.Errorf("worker timeout is %v, want at least %v: an idle worker beats twice a second and is looked at once a second", c.WorkerTimeout, MinWorkerTimeout))
	}
	if c.BackoffCap < c.BackoffBase {
		errs = append(errs, fmt.Errorf("backoff cap %v is below backoff base %v", c.BackoffCap, c.BackoffBase))
	}
	if c.OneShot && c.MinSpare > c.Max {
		errs = append(errs, fmt.Errorf("min spare %d is above max workers %d", c.MinSpare, c.Max))
	}
	if !c.OneShot && c.Max < c.Min {
		errs = append(errs, fmt.Errorf("max workers %d is below min workers %d", c.Max, c.Min))
	}
	if c.dynamic() && c.MaxSpare < c.MinSpare {
		errs = append(errs, fmt.Errorf("max spare %d is below min spare %d", c.MaxSpare, c.MinSpare))
	}
	if c.Max > c.Slots {
		errs = append(errs, fmt.Errorf("max workers %d do not fit %d slots", c.Max, c.Slots))
	}
	if c.RecycleConnections > math.MaxUint64/2 {
		errs = append(errs, errors.New("recycle connections is too large"))
	}
	return errs
}

// dynamic reports whether the pool grows and shrinks by its spares.
func (c Config) dynamic() bool { return !c.OneShot && c.Max > c.Min }
