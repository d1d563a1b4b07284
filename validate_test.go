package prefork

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"prefork/master/policy"
	"prefork/worker"
	"prefork/worker/handlers"
)

func nothing(context.Context, *worker.Conn) error { return nil }

func TestZeroServerWithAHandlerIsValid(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing)}
	if problems := s.Validate(); len(problems) > 0 {
		t.Errorf("Validate() = %v", problems)
	}
}

func TestValidateReportsEveryProblemAtOnce(t *testing.T) {
	s := &Server{
		Handler:    worker.HandlerFunc(nothing),
		NewHandler: func() worker.Handler { return nil },
		Config: Config{
			Listen:     []string{"http://127.0.0.1:1", "tcp://127.0.0.1:99999"},
			Mode:       "thread",
			Workers:    -1,
			MaxWorkers: -2,
			Limits:     Limits{MinSpare: 3, MaxSpare: 2},
			Timeouts:   Timeouts{WorkerTimeout: 400 * time.Millisecond},
		},
	}
	text := errors.Join(s.Validate()...).Error()
	for _, want := range []string{"unknown scheme", "port", "several programs", "mode", "workers: at least 0, not -1", "max_workers: at least 0, not -2", "max_spare: 2 is below", "worker_timeout: at least 2s"} {
		if !strings.Contains(text, want) {
			t.Errorf("problems lack %q:\n%s", want, text)
		}
	}
}

func TestValidateRefusesMoreListenersThanAMessageHolds(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing)}
	for i := range 1800 {
		s.Listen = append(s.Listen, fmt.Sprintf("tcp://127.0.0.1:%d", 10000+i))
	}
	problems := s.Validate()
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "1800 listen addresses") {
		t.Errorf("Validate() = %v, want one problem about the number of addresses", problems)
	}
}

func TestValidateRefusesTheCommonFormatWithoutHTTP(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing), AccessLog: "-", Config: Config{Access: Access{Format: "common"}}}
	problems := s.Validate()
	if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "access_format: common is for") {
		t.Errorf("Validate() = %v, want one problem about the format", problems)
	}
	s.Handler, s.Service = nil, handlers.HTTPServer(new(http.Server))
	if problems := s.Validate(); len(problems) > 0 {
		t.Errorf("Validate() = %v for a program that serves HTTP", problems)
	}
	s.Access = Access{Sample: 2, Format: "combined"}
	if text := errors.Join(s.Validate()...).Error(); !strings.Contains(text, "access_sample: at most 1") || !strings.Contains(text, `"combined"`) {
		t.Errorf("Validate() = %s", text)
	}
}

func TestRunRefusesAServerWithoutAProgram(t *testing.T) {
	err := (&Server{}).Run(context.Background())
	if ExitCode(err) != 78 || !strings.Contains(err.Error(), "no program") {
		t.Errorf("Run = %v with exit code %d, want 78", err, ExitCode(err))
	}
}

func TestReloadAppliesTheConfigThatItReturns(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing)}
	next := &Config{Workers: 3, Timeouts: Timeouts{DrainTimeout: time.Minute, ReadTimeout: time.Second}}
	s.Reload = func(context.Context) (*Config, error) { return next, nil }
	g, err := s.reload(context.Background())
	if err != nil || g.Policy.Max != 3 || g.Policy.DrainTimeout != time.Minute || !strings.Contains(string(g.Worker), `"read_timeout":1000000000`) {
		t.Errorf("reload = %+v, worker %s, %v", g, g.Worker, err)
	}
	next = &Config{Workers: -1}
	if _, err := s.reload(context.Background()); err == nil || !strings.Contains(err.Error(), "workers: at least 0") {
		t.Errorf("reload of a bad configuration = %v", err)
	}
}

// A worker is the program started again, so the master cannot send it code. Some
// settings are fixed for the life of the master. So Config has neither.
func TestAReloadCannotChangeTheProgramOrFixedSettings(t *testing.T) {
	config := reflect.TypeFor[Config]()
	for f := range reflect.TypeFor[Server]().Fields() {
		if _, both := config.FieldByName(f.Name); both {
			t.Errorf("Config has %s, which is a field of Server", f.Name)
		}
	}
	for _, groups := range []reflect.Type{config, reflect.TypeFor[Limits](), reflect.TypeFor[Timeouts](), reflect.TypeFor[Rollout](), reflect.TypeFor[Recycle](), reflect.TypeFor[Access]()} {
		for f := range groups.Fields() {
			if k := f.Type.Kind(); k == reflect.Func || k == reflect.Interface || k == reflect.Pointer {
				t.Errorf("%s.%s is a %v, which cannot be sent to a worker", groups.Name(), f.Name, k)
			}
		}
	}
}

func TestForkingPoolSizeComesFromSparesAndChildren(t *testing.T) {
	c := (&Config{Mode: worker.Forking, Workers: 3}).policyConfig()
	if !c.OneShot || c.MinSpare != 3 || c.Max != policy.DefaultMaxChildren {
		t.Errorf("policy configuration = %+v", c)
	}
}

func TestWorkersDefaultToOnePerCPUUpToMaxWorkers(t *testing.T) {
	cpus := runtime.NumCPU()
	for _, test := range []struct{ workers, most, wantMin, wantMax int }{
		{0, 0, cpus, cpus},
		{0, 1, 1, 1},
		{0, cpus + 3, cpus, cpus + 3},
		{2, 5, 2, 5},
	} {
		s := &Server{Handler: worker.HandlerFunc(nothing), Config: Config{Workers: test.workers, MaxWorkers: test.most}}
		if problems := s.Validate(); len(problems) > 0 {
			t.Errorf("Workers %d, MaxWorkers %d: %v", test.workers, test.most, problems)
		}
		if c := s.policyConfig(); c.Min != test.wantMin || c.Max != test.wantMax {
			t.Errorf("Workers %d, MaxWorkers %d: from %d to %d, want from %d to %d",
				test.workers, test.most, c.Min, c.Max, test.wantMin, test.wantMax)
		}
	}
}
