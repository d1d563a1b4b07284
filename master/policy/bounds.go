package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// MaxSlots bounds Config.Slots, and so the workers of all generations.
const MaxSlots = 4096

// WithDefaults returns c with its zero values replaced by the defaults that
// stand beside the fields. It does not judge the others; Validate does.
func (c Config) WithDefaults() Config {
	c.Min = cmp.Or(c.Min, 1)
	if c.OneShot {
		c.Max = cmp.Or(c.Max, DefaultMaxChildren)
	}
	c.Max = cmp.Or(c.Max, c.Min)
	c.MinSpare = cmp.Or(c.MinSpare, 1)
	c.MaxSpare = cmp.Or(c.MaxSpare, c.MinSpare+2)
	c.StartTimeout = cmp.Or(c.StartTimeout, 10*time.Second)
	c.Probation = cmp.Or(c.Probation, 2*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 30*time.Second)
	c.KillDelay = cmp.Or(c.KillDelay, 2*time.Second)
	c.WorkerTimeout = cmp.Or(c.WorkerTimeout, 30*time.Second)
	c.DumpDelay = cmp.Or(c.DumpDelay, time.Second)
	c.SampleInterval = cmp.Or(c.SampleInterval, time.Second)
	c.FastDeath = cmp.Or(c.FastDeath, time.Second)
	c.BackoffBase = cmp.Or(c.BackoffBase, 100*time.Millisecond)
	c.BackoffCap = cmp.Or(c.BackoffCap, 5*time.Second)
	c.CrashBudget = cmp.Or(c.CrashBudget, 64)
	c.CrashHalfLife = cmp.Or(c.CrashHalfLife, time.Minute)
	c.BootTries = cmp.Or(c.BootTries, 3)
	c.MaxOldGenerations = cmp.Or(c.MaxOldGenerations, 8)
	generations := 2 + min(c.MaxOldGenerations, MaxSlots)
	c.Slots = cmp.Or(c.Slots, min(min(c.Max, MaxSlots)*generations+16, MaxSlots))
	return c
}

// Validate returns what is wrong with c, after WithDefaults: pools that do not
// fit, and settings that contradict each other. Package prefork has checked the
// bounds of single durations.
func (c Config) Validate() []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for _, f := range []struct {
		name        string
		value, high int
	}{
		{"slots", c.Slots, MaxSlots},
		{"min workers", c.Min, MaxSlots},
		{"max workers", c.Max, MaxSlots},
		{"min spare", c.MinSpare, MaxSlots},
		{"max spare", c.MaxSpare, MaxSlots + 2},
		{"boot tries", c.BootTries, MaxSlots},
		{"max old generations", c.MaxOldGenerations, MaxSlots},
	} {
		if f.value < 1 || f.value > f.high {
			fail("%s is %d, want 1 to %d", f.name, f.value, f.high)
		}
	}
	if c.BackoffCap < c.BackoffBase {
		fail("backoff cap %v is below backoff base %v", c.BackoffCap, c.BackoffBase)
	}
	if c.OneShot && c.MinSpare > c.Max {
		fail("min spare %d is above max workers %d", c.MinSpare, c.Max)
	}
	if !c.OneShot && c.Max < c.Min {
		fail("max workers %d is below min workers %d", c.Max, c.Min)
	}
	if c.dynamic() && c.MaxSpare < c.MinSpare {
		fail("max spare %d is below min spare %d", c.MaxSpare, c.MinSpare)
	}
	if c.Max > c.Slots {
		fail("max workers %d do not fit %d slots", c.Max, c.Slots)
	}
	if c.RecycleConnections > math.MaxUint64/2 {
		fail("recycle connections is too large")
	}
	return errs
}

// listErrors joins what Validate found.
func listErrors(errs []error) string {
	return "bad configuration: " + strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "; ")
}

// dynamic reports whether the pool grows and shrinks by its spares.
func (c Config) dynamic() bool { return !c.OneShot && c.Max > c.Min }
