package prefork

import (
	"errors"
	"fmt"

	"prefork/master"
	"prefork/master/policy"
	"prefork/worker"
)

// Validate returns every problem of the configuration at once, each an error
// that names its field. Run and a reload refuse a Server that has any.
func (s *Server) Validate() []error {
	problems := master.CheckAddresses(s.Listen)
	problems = append(problems, s.validateProgram()...)
	problems = append(problems, s.validatePool()...)
	if t := s.WorkerTimeout; t > 0 && t < policy.MinWorkerTimeout {
		problems = append(problems, fmt.Errorf("worker_timeout: at least %v, not %v: an idle worker beats twice a second and is looked at once a second", policy.MinWorkerTimeout, t))
	}
	problems = append(problems, s.workerConfig().Validate()...)
	if len(problems) > 0 {
		return problems
	}
	problems = s.policyConfig().WithDefaults().Validate()
	g, err := s.generation()
	if err == nil {
		err = master.CheckSize(g)
	}
	if err != nil {
		problems = append(problems, err)
	}
	return problems
}

func (s *Server) validateProgram() []error {
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
	if s.AccessLog != "" && s.AccessFormat == worker.AccessCommon && programs == 1 {
		// Only a worker knows what Configure makes.
		if _, ok := s.Service.(worker.AccessLogger); !ok {
			return []error{errors.New("access_format: common is for programs that serve HTTP, through handlers.HTTPServer; json is for all")}
		}
	}
	return nil
}

func (s *Server) validatePool() []error {
	var problems []error
	for _, f := range []struct {
		name  string
		value int
	}{
		{"workers", s.Workers}, {"max_workers", s.MaxWorkers}, {"min_spare", s.MinSpare}, {"max_spare", s.MaxSpare},
		{"max_children", s.MaxChildren}, {"request_queue_size", s.RequestQueueSize}, {"max_old_generations", s.MaxOldGenerations},
	} {
		if f.value < 0 {
			problems = append(problems, fmt.Errorf("%s: %d is negative", f.name, f.value))
		}
	}
	if s.MaxWorkers != 0 && s.MaxWorkers < s.Workers {
		problems = append(problems, fmt.Errorf("max_workers: %d is less than workers, %d", s.MaxWorkers, s.Workers))
	}
	if s.MaxSpare != 0 && s.MaxSpare < s.MinSpare {
		problems = append(problems, fmt.Errorf("max_spare: %d is less than min_spare, %d", s.MaxSpare, s.MinSpare))
	}
	return problems
}
