package worker

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"

	"prefork/ipc"
)

func failed(t *testing.T, cfg Config, o Options) (*ipc.Failed, error) {
	t.Helper()
	r := launch(t, cfg, o)
	err := r.wait()
	eventually(t, "failed", func() bool { return got[*ipc.Failed](r) != nil })
	if got[*ipc.Ready](r) != nil {
		t.Error("said ready as well")
	}
	return got[*ipc.Failed](r), err
}

func TestBadConfigurationIsFatal(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		o    Options
		want string
	}{
		"mode":     {Config{Mode: "juggling"}, Options{Handler: echo}, `mode: "juggling"`},
		"nothing":  {Config{}, Options{}, "0 of Handler"},
		"too much": {Config{}, Options{Handler: echo, NewHandler: func() Handler { return echo }}, "2 of Handler"},
		"configure": {Config{Settings: json.RawMessage(`{"colour":"red"}`)}, Options{
			Configure: func(s json.RawMessage, _ *Options) error { return errors.New("no colour like " + string(s)) },
		}, `no colour like {"colour":"red"}`},
		"useless hook": {Config{}, Options{Service: new(closedService), Hooks: Hooks{ProcessRequest: func(*Conn, func()) {}}}, "ProcessRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := failed(t, c.cfg, c.o)
			exit := new(ExitError)
			if !errors.As(err, &exit) || exit.Code != ExitConfig || m.Code != ExitConfig {
				t.Errorf("message %+v, error %#v; want code %d", m, err, ExitConfig)
			}
			if !strings.Contains(m.Message, c.want) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("message %q, error %q; want %q in both", m.Message, err, c.want)
			}
		})
	}
}

// Another try may go better: the master must not give up for good.
func TestPanicInConfigureIsNoConfigurationError(t *testing.T) {
	m, err := failed(t, Config{}, Options{Configure: func(json.RawMessage, *Options) error { panic("dear me") }})
	if exit := new(ExitError); !errors.As(err, &exit) || exit.Code != 1 || m.Code != 1 || !strings.Contains(m.Message, "dear me") {
		t.Errorf("message %+v, error %#v; want code 1 and the panic", m, err)
	}
}

// The death of the master can be seen only once, so a worker must notice it during its
// set-up, too.
func TestWorkerCanBeStoppedDuringItsSetUp(t *testing.T) {
	for name, tell := range map[string]func(r *rig){
		"master gone": func(r *rig) { _ = r.channel.Close() },
		"stop":        func(r *rig) { r.send(&ipc.Stop{}) },
	} {
		t.Run(name, func(t *testing.T) {
			begun, release := make(chan struct{}), make(chan struct{})
			defer close(release)
			r := launch(t, Config{}, Options{Configure: func(json.RawMessage, *Options) error {
				close(begun)
				<-release
				return errors.New("too late")
			}})
			<-begun
			tell(r)
			if err := r.wait(); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// logTaker is a Service that only wants the access log.
type logTaker struct{ given chan struct{} }

func (*logTaker) Serve(net.Listener) error { return nil }

func (*logTaker) Drain(context.Context) error { return nil }

func (s *logTaker) HandleAccessLog(AccessLog) { close(s.given) }

// What the set-up of a worker that leaves still writes to must be there.
func TestSetUpMayEndAfterRunHasReturned(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	taker := &logTaker{make(chan struct{})}
	r := launch(t, Config{AccessLog: true}, Options{Service: taker, Configure: func(json.RawMessage, *Options) error {
		close(begun)
		<-release
		return nil
	}})
	<-begun
	r.send(&ipc.Stop{})
	if err := r.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	close(release)
	within(t, "the access log, which names the worker's generation", taker.given)
}

func TestConfigureMakesTheProgram(t *testing.T) {
	r := accepting(t, Config{Settings: json.RawMessage(`"echo"`)}, Options{Configure: func(s json.RawMessage, o *Options) error {
		if string(s) == `"echo"` {
			o.Handler = echo
		}
		return nil
	}})
	ask(t, r.dial(0), "x", "x")
}

func TestModesOfOneConnectionIgnoreMaxConnections(t *testing.T) {
	for mode, want := range map[Mode]int{Sequential: 1, Forking: 1, Threading: 7, "": 7} {
		if got := (Config{Mode: mode, MaxConnections: 7}).WithDefaults().MaxConnections; got != want {
			t.Errorf("%q: %d connections, want %d", mode, got, want)
		}
	}
}

func TestRunNeedsAMaster(t *testing.T) {
	if err := Run(context.Background(), Options{Handler: echo}); err == nil {
		t.Fatal("ran without a master")
	}
	if Inherited() {
		t.Error("a test process takes itself for a worker")
	}
}
