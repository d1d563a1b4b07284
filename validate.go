package prefork

import (
	"fmt"
	"reflect"

	"prefork/internal/setting"
	"prefork/master"
	"prefork/worker"
)

// Validate returns every problem of the configuration at once, each an error
// that names its field. Run and a reload refuse a configuration that has any.
func (s *Server) Validate() []error { return s.validate(&s.Config) }

// validate returns what is wrong with c as the configuration of s.
func (s *Server) validate(c *Config) []error {
	problems := master.CheckAddresses(c.Listen)
	o := s.workerOptions(new(madeLog))
	// Only a worker knows what Configure makes.
	if s.Configure == nil || s.Handler != nil || s.NewHandler != nil || s.Service != nil || s.EventHandler != nil {
		if err := o.Check(s.workerConfig(c)); err != nil {
			problems = append(problems, err)
		}
	}
	problems = append(problems, c.validateSettings()...)
	if len(problems) > 0 {
		return problems
	}
	problems = c.policyConfig().WithDefaults().Validate()
	g, err := s.generation(c)
	if err == nil {
		err = master.CheckSize(g)
	}
	if err != nil {
		problems = append(problems, err)
	}
	return problems
}

// validateSettings returns what is wrong with single settings, and with those
// that do not fit together.
func (c *Config) validateSettings() []error {
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	own := reflect.ValueOf(c).Elem()
	for _, s := range setting.Of(own.Type()) {
		v := s.In(own)
		if v.IsZero() || s.Never && v.Int() < 0 {
			continue
		}
		if err := s.Check(v); err != nil {
			report("%s: %w", s.Key, err)
		}
	}
	l := c.WithDefaults().Limits
	if c.MaxWorkers > 0 && c.MaxWorkers < c.Workers {
		report("max_workers: %d is below workers, which is %d", c.MaxWorkers, c.Workers)
	}
	if l.MaxSpare > 0 && l.MaxSpare < l.MinSpare {
		report("max_spare: %d is below min_spare, which is %d", l.MaxSpare, l.MinSpare)
	}
	if c.Mode == worker.Forking && l.MinSpare > l.MaxChildren {
		report("min_spare: %d is above max_children, which is %d", l.MinSpare, l.MaxChildren)
	}
	if c.Mode == worker.Forking && l.MinSpare == 0 && c.Workers > l.MaxChildren {
		report("workers: %d spare workers are above max_children, which is %d", c.Workers, l.MaxChildren)
	}
	return problems
}
