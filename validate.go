package prefork

import (
	"errors"
	"fmt"

	"prefork/master"
	"prefork/master/policy"
	"prefork/worker"
)

// Validate returns every problem of the configuration at once, each an error
// that names its field. Run and a reload refuse a configuration that has any.
func (s *Server) Validate() []error { return s.validate(&s.Config) }

// validate returns what is wrong with c as the configuration of s.
func (s *Server) validate(c *Config) []error {
	problems := master.CheckAddresses(c.Listen)
	problems = append(problems, s.validateProgram(c)...)
	problems = append(problems, c.validatePool()...)
	if t := c.Timeouts.WorkerTimeout; t > 0 && t < policy.MinWorkerTimeout {
		problems = append(problems, fmt.Errorf("worker_timeout: at least %v, not %v: an idle worker beats twice a second and is looked at once a second", policy.MinWorkerTimeout, t))
	}
	problems = append(problems, s.workerConfig(c).Validate()...)
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

func (s *Server) validateProgram(c *Config) []error {
	programs := 0
	for _, set := range []bool{s.Handler != nil, s.NewHandler != nil, s.Service != nil} {
		if set {
			programs++
		}
	}
	switch {
	case programs > 1:
		return []error{errors.New("several programs: set one of Handler, NewHandler and Service")}
	case programs == 0 && s.Configure == nil:
		return []error{errors.New("no program: set Handler, NewHandler, Service or Configure")}
	}
	if s.AccessLog != "" && c.Access.Format == worker.AccessCommon && programs == 1 {
		// Only a worker knows what Configure makes.
		if _, ok := s.Service.(worker.AccessLogger); !ok {
			return []error{errors.New("access_format: common is for programs that serve HTTP, through handlers.HTTPServer; json is for all")}
		}
	}
	return nil
}

func (c *Config) validatePool() []error {
	var problems []error
	for _, f := range []struct {
		name  string
		value int
	}{
		{"workers", c.Workers}, {"max_workers", c.MaxWorkers}, {"min_spare", c.Limits.MinSpare}, {"max_spare", c.Limits.MaxSpare},
		{"max_children", c.Limits.MaxChildren}, {"request_queue_size", c.RequestQueueSize}, {"max_old_generations", c.Rollout.MaxOldGenerations},
	} {
		if f.value < 0 {
			problems = append(problems, fmt.Errorf("%s: %d is negative", f.name, f.value))
		}
	}
	if c.MaxWorkers != 0 && c.MaxWorkers < c.Workers {
		problems = append(problems, fmt.Errorf("max_workers: %d is less than workers, %d", c.MaxWorkers, c.Workers))
	}
	if c.Limits.MaxSpare != 0 && c.Limits.MaxSpare < c.Limits.MinSpare {
		problems = append(problems, fmt.Errorf("max_spare: %d is less than min_spare, %d", c.Limits.MaxSpare, c.Limits.MinSpare))
	}
	return problems
}
