package prefork

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync/atomic"

	"go.uber.org/zap"

	"prefork/master"
	"prefork/worker"
)

// Server is a pre-fork server. The zero value with a Handler, a NewHandler or
// a Service serves on tcp://127.0.0.1:9999 with one worker a CPU, a goroutine
// per connection.
//
// Fields must not change after Run or HandleRequest.
type Server struct {
	// The program. main runs in every worker up to Run, so this is code, and a
	// reload cannot change it. Mode event needs EventHandler, the others exactly
	// one of Handler, NewHandler and Service; a program that sets both runs in
	// every mode, and a reload may change it. Configure may set them in the worker
	// instead, out of Config.Settings.
	Handler      worker.Handler
	NewHandler   func() worker.Handler
	Service      worker.Service
	EventHandler worker.EventHandler
	Hooks        worker.Hooks
	Configure    func(settings json.RawMessage, o *worker.Options) error

	// Version is shown by status and compared in the handshake.
	Version string

	// Logger replaces the log that LogFormat and LogLevel describe, in the
	// master and in each worker, where main makes it anew. Its lines have the
	// fields role, slot, pid and generation too. Its level is its own: neither
	// LogLevel nor the command log-level changes it.
	Logger *zap.Logger

	// Config is the configuration of the first generation.
	Config

	// Reload returns the configuration of the next generation. nil means: the
	// same again. It is called in the master, on a goroutine of its own, once
	// at a time. ctx ends after StartTimeout, or when the server ends; two
	// seconds later the master gives the reload up, and ignores what is returned
	// then. Until it returns, further reloads fail.
	Reload func(ctx context.Context) (*Config, error)

	// The rest is fixed while the master runs.

	Control   string // path of the control socket; "" none
	PIDFile   string // "" none
	LogFile   string // takes the place of standard error; reopened on USR1; "" none
	LogFormat string // auto, console or json; "auto"

	// AccessLog is a file for one record a connection or request, reopened on
	// USR1; "-" is standard output, "" none. HandleRequest writes none.
	AccessLog string

	// Ready is called once in the master, on a goroutine of its own, when the
	// first generation accepts. addrs is what Addrs returns then.
	Ready func(addrs []net.Addr)

	// ControlHandler answers on the control socket what is not below /v1/, such
	// as GET /metrics, for the server's own user and root only.
	ControlHandler http.Handler

	master  atomic.Pointer[master.Master] // set by Run in the first process
	ended   atomic.Bool                   // Shutdown or Close was called
	oneShot oneShot                       // of HandleRequest
}
