package prefork

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"prefork/internal/setting"
	"prefork/master"
	"prefork/master/policy"
	"prefork/worker"
)

// generation is what the master must know of a configuration.
func (s *Server) generation(c *Config) (master.Generation, error) {
	config, err := json.Marshal(s.workerConfig(c))
	if err != nil {
		return master.Generation{}, fmt.Errorf("encode worker configuration: %w", err)
	}
	return master.Generation{
		Listen:         c.Listen,
		Backlog:        c.RequestQueueSize,
		NoReuseAddress: c.NoReuseAddress,
		Mode:           string(cmp.Or(c.Mode, worker.Threading)),
		Fork:           c.Spawn == SpawnFork,
		LogLevel:       cmp.Or(c.LogLevel, defaultLogLevel),
		Policy:         c.policyConfig(),
		Worker:         config,
	}, nil
}

const defaultLogLevel = "info"

// workerConfig is what a worker must know of a configuration.
func (s *Server) workerConfig(c *Config) worker.Config {
	w := worker.Config{AccessLog: s.AccessLog != ""}
	c.match(&w, func(mine, theirs reflect.Value) { theirs.Set(mine.Convert(theirs.Type())) })
	w.Mode = cmp.Or(w.Mode, worker.Threading)
	return w
}

// policyConfig is what the master decides by: the settings that policy.Config
// has, and the size of the pool.
func (c *Config) policyConfig() policy.Config {
	p := policy.Config{Seed: uint64(os.Getpid())}
	c.match(&p, func(mine, theirs reflect.Value) { theirs.Set(mine.Convert(theirs.Type())) })
	p.Min = c.Workers
	if p.Min == 0 {
		p.Min = master.CPUs()
		if c.MaxWorkers > 0 {
			p.Min = min(p.Min, c.MaxWorkers)
		}
	}
	p.Max = max(p.Min, c.MaxWorkers)
	if c.Mode == worker.Forking {
		p.OneShot = true
		p.Max = cmp.Or(c.Limits.MaxChildren, policy.DefaultMaxChildren)
		if p.MinSpare == 0 {
			p.MinSpare = min(cmp.Or(c.Workers, 4*master.CPUs()), p.Max)
		}
	}
	p.Slots = max(leastSlots, p.WithDefaults().Slots)
	return p
}

// leastSlots is room on the scoreboard for what reloads and an operator may ask
// for later: its size is fixed when the master starts. A slot is 128 bytes.
const leastSlots = 512

// WithDefaults returns c with its zero values replaced by the defaults. Those
// that depend on the machine or on other settings stay 0: Workers, MaxWorkers,
// MinSpare and MaxSpare. So does Listen.
func (c Config) WithDefaults() Config {
	p := policy.Config{}.WithDefaults()
	p.MinSpare, p.MaxSpare = 0, 0
	w := worker.Config{}.WithDefaults()
	for _, room := range []any{&p, &w} {
		c.match(room, func(mine, theirs reflect.Value) {
			if mine.IsZero() {
				mine.Set(theirs.Convert(mine.Type()))
			}
		})
	}
	c.LogLevel = cmp.Or(c.LogLevel, defaultLogLevel)
	c.Spawn = cmp.Or(c.Spawn, SpawnAuto)
	c.RequestQueueSize = cmp.Or(c.RequestQueueSize, master.DefaultBacklog)
	c.Limits.MaxChildren = cmp.Or(c.Limits.MaxChildren, policy.DefaultMaxChildren)
	return c
}

// match calls f with each setting of c that room, a pointer to a struct, has a
// field for: one of the same name.
func (c *Config) match(room any, f func(mine, theirs reflect.Value)) {
	own, other := reflect.ValueOf(c).Elem(), reflect.ValueOf(room).Elem()
	fields := map[string]reflect.Value{}
	for _, s := range setting.Of(other.Type()) {
		fields[s.Key] = s.In(other)
	}
	for _, s := range setting.Of(own.Type()) {
		if theirs, ok := fields[s.Key]; ok {
			f(s.In(own), theirs)
		}
	}
}
