package prefork

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork/internal/setting"
	"prefork/master/policy"
	"prefork/worker"
	"prefork/worker/poll"
)

// Each key changes the configuration of the policy, of a worker or of the
// master's generation.
func TestEverySettingChangesTheGeneration(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing)}
	for _, key := range setting.Of(reflect.TypeFor[Config]()) {
		base := Config{Workers: 2, MaxWorkers: 4}
		if key.Key == "max_children" || key.Key == "spawn" {
			base.Mode = worker.Forking
		}
		changed := base
		set(key.In(reflect.ValueOf(&changed).Elem()), slices.DeleteFunc(slices.Clone(key.Choices), func(c string) bool { return c == string(SpawnExec) })) // exec is the default's effect
		before, err := s.generation(&base)
		if err != nil {
			t.Fatal(err)
		}
		after, err := s.generation(&changed)
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(before, after) {
			t.Errorf("%s does not change the generation", key.Key)
		}
	}
}

// set changes a field to a valid value other than the default.
func set(v reflect.Value, choices []string) {
	switch x := v.Addr().Interface().(type) {
	case *[]string:
		*x = []string{"tcp://127.0.0.1:1"}
	case *json.RawMessage:
		*x = json.RawMessage(`1`)
	case *bool:
		*x = true
	case *int:
		*x = 3
	case *uint64:
		*x = 3
	case *float64:
		*x = 0.5
	case *time.Duration:
		*x = 3 * time.Second
	default:
		v.SetString(choices[len(choices)-1])
	}
}

func TestDefaultsAreValidAndUsed(t *testing.T) {
	c := Config{}.WithDefaults()
	s := &Server{Handler: worker.HandlerFunc(nothing), Config: c}
	if problems := s.Validate(); len(problems) > 0 {
		t.Errorf("the defaults have problems: %v", problems)
	}
	if got, want := c.policyConfig().WithDefaults(), new(Config).policyConfig().WithDefaults(); got != want {
		t.Errorf("the policy gets\n%+v\nand without WithDefaults\n%+v", got, want)
	}
	got, want := s.workerConfig(&c).WithDefaults(), s.workerConfig(new(Config)).WithDefaults()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("a worker gets\n%+v\nand without WithDefaults\n%+v", got, want)
	}
	if !reflect.DeepEqual(c, c.WithDefaults()) {
		t.Error("WithDefaults changes its own result")
	}
	if p, w := (policy.Config{}).WithDefaults(), (worker.Config{}).WithDefaults(); p.DrainTimeout != w.DrainTimeout {
		t.Errorf("drain_timeout is %v for the master and %v for a worker", p.DrainTimeout, w.DrainTimeout)
	}
}

func TestChoicesMatchThePackageThatUsesThem(t *testing.T) {
	choices := map[string][]string{
		"mode":          {string(worker.Sequential), string(worker.Threading), string(worker.Forking), string(worker.Event)},
		"poller":        poll.Names(),
		"access_format": {worker.AccessJSON, worker.AccessCommon},
		"spawn":         {string(SpawnAuto), string(SpawnFork), string(SpawnExec)},
		"log_level":     {"debug", "info", "warn", "error"},
	}
	for _, key := range setting.Of(reflect.TypeFor[Config]()) {
		got, want := slices.Sorted(slices.Values(key.Choices)), slices.Sorted(slices.Values(choices[key.Key]))
		if !slices.Equal(got, want) {
			t.Errorf("%s can be %v, want %v", key.Key, got, want)
		}
	}
}

func TestEachSettingHasItsBounds(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"workers: at least 0, not -1":                                  func(c *Config) { c.Workers = -1 },
		"workers: at most 1024, not 1025":                              func(c *Config) { c.Workers = 1025 },
		"max_workers: 1 is below workers, which is 2":                  func(c *Config) { c.Workers, c.MaxWorkers = 2, 1 },
		"mode: unknown mode \"x\"; want sequential, threading, f":      func(c *Config) { c.Mode = "x" },
		"poll_interval: at least 1ms, not 1ns":                         func(c *Config) { c.PollInterval = 1 },
		"drain_timeout: at least 1ms, not -1ns":                        func(c *Config) { c.Timeouts.DrainTimeout = worker.Disabled },
		"read_timeout: at most 87600h, not 87601h":                     func(c *Config) { c.Timeouts.ReadTimeout = 87601 * time.Hour },
		"worker_timeout: at least " + policy.MinWorkerTimeout.String(): func(c *Config) { c.Timeouts.WorkerTimeout = policy.MinWorkerTimeout - 1 },
		"crash_budget: at least 1, not 0.5":                            func(c *Config) { c.Limits.CrashBudget = 0.5 },
		"access_sample: at most 1, not 1.1":                            func(c *Config) { c.Access.Sample = 1.1 },
		"access_format: unknown access format \"combined\"":            func(c *Config) { c.Access.Format = "combined" },
		"max_spare: 1 is below min_spare, which is 2":                  func(c *Config) { c.Limits.MinSpare, c.Limits.MaxSpare = 2, 1 },
		"min_spare: 50 is above max_children, which is 40":             func(c *Config) { c.Mode, c.Limits.MinSpare = worker.Forking, 50 },
		"workers: 50 spare workers are above max_children, which":      func(c *Config) { c.Mode, c.Workers = worker.Forking, 50 },
	} {
		s := &Server{Handler: worker.HandlerFunc(nothing)}
		change(&s.Config)
		if problems := s.Validate(); len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), want) {
			t.Errorf("%v, want %s", problems, want)
		}
	}
}

func TestDisabledIsAcceptedForOptionalTimeouts(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing)}
	s.Timeouts = Timeouts{
		ReadTimeout: worker.Disabled, WriteTimeout: worker.Disabled, IdleTimeout: worker.Disabled,
		HandlerTimeout: worker.Disabled, LameDuck: worker.Disabled, WorkerTimeout: worker.Disabled,
	}
	s.Timeout, s.Rollout.Probation, s.Recycle.Age = worker.Disabled, worker.Disabled, worker.Disabled
	if problems := s.Validate(); len(problems) > 0 {
		t.Error(problems)
	}
}
