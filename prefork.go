package prefork

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"go.uber.org/zap"

	"prefork/internal/logs"
	"prefork/internal/program"
	"prefork/ipc"
	"prefork/master"
	"prefork/worker"
)

// DefaultListen is where a Server without Listen serves, unless systemd passed
// sockets.
const DefaultListen = master.DefaultListen

// The types of the control socket's answers.
type (
	// Status is the answer of GET /v1/status.
	Status = master.Status
	// Answer is the answer to a command.
	Answer = master.Answer
	// Event is a line of the master's log, as GET /v1/stream tells it.
	Event = master.Event
)

// The errors of Run.
type (
	// ConfigError marks a configuration that cannot work: exit status 78.
	ConfigError = master.ConfigError
	// ExitError is any other end that was not an orderly drain.
	ExitError = master.ExitError
)

// IsWorker reports whether this process was started as a worker. A program
// may ask before Run to skip what only the master needs. The answer is the
// same for the whole life of the process, and a worker's own children do not
// inherit it.
func IsWorker() bool { return worker.Inherited() }

// Run serves until ctx ends, or Shutdown, a signal or a command asks for a drain,
// and returns nil once all connections are done. After Close, or a command or
// signal to stop, it returns nil at once. So it does if Shutdown or Close was
// called before it, or while it starts. It is called once. The program's exit
// status should be ExitCode of the error.
//
// In the first process it is the master. In the processes that the master
// starts it is the worker and does not return: it ends the process, so that
// nothing that follows Run in main happens once for each worker too.
func (s *Server) Run(ctx context.Context) error {
	var log madeLog
	defer log.sync()
	if IsWorker() {
		err := worker.Run(ctx, s.workerOptions(&log))
		log.sync()
		os.Exit(ExitCode(err))
	}
	if os.Getenv(ipc.WorkerVariable) != "" {
		return &ConfigError{Err: fmt.Errorf("%s is set but no master has started this process; unset it", ipc.WorkerVariable)}
	}
	if s.ended.Load() {
		return nil
	}
	m, err := s.newMaster(&log)
	if err != nil {
		return err
	}
	s.oneShot.close() // or the master could not bind what HandleRequest has bound
	s.master.Store(m)
	if s.ended.Load() { // just now
		m.Stop()
	}
	return m.Run(ctx)
}

// Shutdown drains the server and waits until every worker is gone, or ctx
// ends. It may be called from any goroutine of the process whose Run is the
// master, also before Run; in a worker it does nothing.
func (s *Server) Shutdown(ctx context.Context) error {
	s.ended.Store(true)
	m := s.master.Load()
	if m == nil {
		return nil
	}
	return m.Shutdown(ctx)
}

// Close stops the server at once, as the signal QUIT does: the contexts of
// handlers end and their connections are closed. It does not wait; Run returns
// when the workers are gone. It may be called like Shutdown, and more than once;
// the error is always nil.
//
// It also closes what HandleRequest listens on, and removes the files of Unix
// sockets: socketserver's server_close. Connections that wait in the queue are
// reset. Sockets that systemd passed stay open, as systemd keeps them open too.
// If calls of HandleRequest are under way, the last of them to return closes the
// sockets. For them it is as if their context had ended: one that waits
// returns, one that serves a connection has DrainTimeout to finish.
func (s *Server) Close() error {
	s.ended.Store(true)
	s.oneShot.close()
	if m := s.master.Load(); m != nil {
		m.Stop()
	}
	return nil
}

// Addrs returns the addresses that the serving generation is bound to, in the
// order of Listen: with port 0 in Listen, the real port. It is nil before Ready,
// and in a worker.
func (s *Server) Addrs() []net.Addr {
	if m := s.master.Load(); m != nil {
		return m.Addrs()
	}
	return nil
}

// ErrNotRunning is returned by the methods that ask the master of a Server
// whose Run has not begun, or is a worker's.
var ErrNotRunning = errors.New("the server is not running")

// Status describes the server as it is now, as GET /v1/status does. It may be
// called from any goroutine of the process whose Run is the master.
func (s *Server) Status(ctx context.Context) (Status, error) {
	m := s.master.Load()
	if m == nil {
		return Status{}, ErrNotRunning
	}
	return m.Status(ctx)
}

// Events returns what the master has logged at level info and above since the
// event numbered after, oldest first, as far as it is kept: the last 256 are.
// It waits until there is something to tell. The error is ctx's, ErrNotRunning,
// or another once the server has ended. It may be called like Status.
func (s *Server) Events(ctx context.Context, after uint64) ([]Event, error) {
	m := s.master.Load()
	if m == nil {
		return nil, ErrNotRunning
	}
	return m.Events(ctx, after)
}

// ServeStream answers with server-sent events, as GET /v1/stream on the control
// socket does: an event "status" each second and an event "log" for each line
// of the master's log. It checks no permission: the program decides who
// may reach it.
func (s *Server) ServeStream(w http.ResponseWriter, r *http.Request) {
	m := s.master.Load()
	if m == nil {
		http.Error(w, ErrNotRunning.Error(), http.StatusServiceUnavailable)
		return
	}
	m.ServeStream(w, r)
}

// ExitCode returns the exit status that an error of Run asks for: 0, 1, or 78
// for a configuration that cannot work.
func ExitCode(err error) int {
	var config *master.ConfigError
	var exit *master.ExitError
	var workerExit *worker.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &config):
		return 78
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &workerExit):
		return workerExit.Code
	}
	return 1
}

// madeLog is the log of this process. Before the process ends the journal must
// have read what it was sent, or it cannot tell whose it is.
type madeLog struct {
	mu  sync.Mutex // guards log
	log *zap.Logger
}

func (l *madeLog) sync() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log != nil {
		_ = l.log.Sync() // nobody could read of its error
	}
}

// newMaster makes the master, and its log, which made remembers.
func (s *Server) newMaster(made *madeLog) (*master.Master, error) {
	if problems := s.Validate(); len(problems) > 0 {
		return nil, &ConfigError{Err: errors.Join(problems...)}
	}
	generation, err := s.generation(&s.Config)
	if err != nil {
		return nil, &ConfigError{Err: err}
	}
	log, level, err := logs.New(s.LogFormat, s.LogLevel, os.Stderr)
	if err != nil {
		return nil, &ConfigError{Err: err}
	}
	if s.Logger != nil {
		log = s.Logger // the level is still the workers'
	}
	made.log = log
	o := master.Options{
		Generation:     generation,
		Control:        s.Control,
		ControlHandler: s.ControlHandler,
		Ready:          s.Ready,
		PIDFile:        s.PIDFile,
		LogFile:        s.LogFile,
		AccessLog:      s.AccessLog,
		LogFormat:      s.LogFormat,
		Log:            log,
		Level:          level,
		Build:          s.Version,
	}
	if s.Reload != nil {
		o.Load = s.reload
	}
	return master.New(o), nil
}

// reload turns what the program's Reload returns into the next generation, or
// says why it cannot be.
func (s *Server) reload(ctx context.Context) (master.Generation, error) {
	next, err := s.Reload(ctx)
	if err != nil {
		return master.Generation{}, err
	}
	if next == nil {
		return master.Generation{}, errors.New("Server.Reload returned no configuration")
	}
	if problems := s.validate(next); len(problems) > 0 {
		return master.Generation{}, errors.Join(problems...)
	}
	return s.generation(next)
}

// workerOptions are the program's part of a worker, which makes its log once
// it knows how, unless it is made.
func (s *Server) workerOptions(made *madeLog) worker.Options {
	return worker.Options{
		Handler:      s.Handler,
		NewHandler:   s.NewHandler,
		Service:      s.Service,
		EventHandler: s.EventHandler,
		Hooks:        s.Hooks,
		Configure:    s.Configure,
		Build:        s.Version,
		NewLogger: func(format, level string) (_ *zap.Logger, at zap.AtomicLevel, err error) {
			made.mu.Lock()
			defer made.mu.Unlock()
			if made.log = cmp.Or(made.log, s.Logger); made.log == nil {
				made.log, at, err = logs.New(format, level, os.Stderr)
			}
			return made.log, at, err
		},
	}
}

func init() {
	program.Of = func(server any) (worker.Config, worker.Options) {
		s := server.(*Server)
		return s.workerConfig(&s.Config), s.workerOptions(new(madeLog))
	}
}
