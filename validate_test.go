package prefork

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

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
		Listen:     []string{"127.0.0.1:1", "tcp://127.0.0.1:99999"},
		Handler:    worker.HandlerFunc(nothing),
		NewHandler: func() worker.Handler { return nil },
		Mode:       "thread",
		Workers:    -1,
		MaxWorkers: -2,
		MinSpare:   3,
		MaxSpare:   2,

		WorkerTimeout: 400 * time.Millisecond,
	}
	text := errors.Join(s.Validate()...).Error()
	for _, want := range []string{"unknown scheme", "port", "several programs", "mode", "workers: -1", "max_workers: -2", "max_spare: 2 is less", "worker_timeout: at least 2s"} {
		if !strings.Contains(text, want) {
			t.Errorf("problems lack %q:\n%s", want, text)
		}
	}
}

func TestValidateRefusesWhatAWorkerCannotBeTold(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing)}
	for i := range 1800 {
		s.Listen = append(s.Listen, fmt.Sprintf("tcp://127.0.0.1:%d", 10000+i))
	}
	problems := s.Validate()
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), "1800 listen addresses") {
		t.Errorf("Validate() = %v, want one problem about their number", problems)
	}
}

func TestValidateRefusesTheCommonFormatForWhatIsNoHTTP(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing), AccessLog: "-", AccessFormat: "common"}
	problems := s.Validate()
	if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "access_format: common is for") {
		t.Errorf("Validate() = %v, want one problem about the format", problems)
	}
	s.Handler, s.Service = nil, handlers.HTTPServer(new(http.Server))
	if problems := s.Validate(); len(problems) > 0 {
		t.Errorf("Validate() = %v for a program that serves HTTP", problems)
	}
	s.AccessSample, s.AccessFormat = 2, "combined"
	if text := errors.Join(s.Validate()...).Error(); !strings.Contains(text, "access_sample: 2") || !strings.Contains(text, `access_format: "combined"`) {
		t.Errorf("Validate() = %s", text)
	}
}

func TestRunRefusesAServerWithoutAProgram(t *testing.T) {
	err := (&Server{}).Run(context.Background())
	if ExitCode(err) != 78 || !strings.Contains(err.Error(), "no program") {
		t.Errorf("Run = %v with exit code %d, want 78", err, ExitCode(err))
	}
}

func TestReloadRefusesWhatCannotChange(t *testing.T) {
	s := &Server{Handler: worker.HandlerFunc(nothing), Control: "/run/a"}
	s.Reload = func(context.Context) (*Server, error) {
		return &Server{Handler: s.Handler, Control: "/run/b", AccessLog: "-", AccessSample: 0.5, Workers: -1}, nil
	}
	_, err := s.reload(context.Background())
	if err == nil || !strings.Contains(err.Error(), `control: "/run/a" cannot become "/run/b"`) || !strings.Contains(err.Error(), "workers: -1") ||
		!strings.Contains(err.Error(), `access_log: "" cannot become "-"`) || strings.Contains(err.Error(), "access_sample") {
		t.Errorf("reload = %v", err)
	}
}

func TestForkingPoolIsSizedBySparesAndChildren(t *testing.T) {
	c := (&Server{Mode: worker.Forking, Workers: 3}).policyConfig()
	if !c.OneShot || c.MinSpare != 3 || c.Max != DefaultMaxChildren {
		t.Errorf("policy configuration = %+v", c)
	}
}

func TestWorkersAreOneACPUButMaxWorkersAtMost(t *testing.T) {
	cpus := runtime.NumCPU()
	for _, test := range []struct{ workers, most, wantMin, wantMax int }{
		{0, 0, cpus, cpus},
		{0, 1, 1, 1},
		{0, cpus + 3, cpus, cpus + 3},
		{2, 5, 2, 5},
	} {
		s := &Server{Handler: worker.HandlerFunc(nothing), Workers: test.workers, MaxWorkers: test.most}
		if problems := s.Validate(); len(problems) > 0 {
			t.Errorf("Workers %d, MaxWorkers %d: %v", test.workers, test.most, problems)
		}
		if c := s.policyConfig(); c.Min != test.wantMin || c.Max != test.wantMax {
			t.Errorf("Workers %d, MaxWorkers %d: from %d to %d, want from %d to %d",
				test.workers, test.most, c.Min, c.Max, test.wantMin, test.wantMax)
		}
	}
}
