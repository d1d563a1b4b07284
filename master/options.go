package master

import (
	"context"
	"encoding/json"
	"net"
	"net/http"

	"go.uber.org/zap"

	"prefork/master/policy"
)

// Options configure a Master. All but the first Generation stay as they are
// while it runs.
type Options struct {
	// Generation is the configuration of the first generation.
	Generation Generation

	// Load returns the configuration of the next generation when a reload is
	// asked for. It runs on a goroutine of its own, once at a time. Its ctx ends
	// after the StartTimeout of the generation that serves. nil means: the same
	// again.
	Load func(ctx context.Context) (Generation, error)

	Control        string       // path of the control socket; "" for none
	ControlHandler http.Handler // answers on the control socket what is not below /v1/; nil: 404
	PIDFile        string       // "" for none
	LogFile        string       // replaces standard error, reopened on USR1; "" for none

	// AccessLog is the file that workers write their access log to, reopened on
	// USR1; "-" is standard output, "" is none. Worker configures what they write.
	AccessLog string

	// Ready is called once, on a goroutine of its own, when the first generation
	// accepts; addrs is what Addrs returns then.
	Ready func(addrs []net.Addr)

	LogFormat string          // for the workers
	Log       *zap.Logger     // nil for none
	Level     zap.AtomicLevel // of Log; a reload and the control socket set it

	Build string // the program's version
}

// DefaultListen is where a Generation without Listen serves, unless systemd
// passed sockets: then it serves those, each by its name.
const DefaultListen = "tcp://127.0.0.1:9999"

// Generation is what a reload can change.
type Generation struct {
	Listen         []string // addresses for ParseAddress; without any see DefaultListen
	Backlog        int      // listen(2)'s; 0 is 4096
	NoReuseAddress bool     // do not set SO_REUSEADDR
	Mode           string   // for status
	Fork           bool     // fork one-shot workers instead of executing them, if that is possible
	LogLevel       string   // "" leaves the level alone

	Policy policy.Config
	Worker json.RawMessage // handed to each worker in its Hello
}

// ConfigError is an error that trying again with the same configuration cannot
// avoid: the process should exit with 78 (EX_CONFIG).
type ConfigError struct{ Err error }

// Error returns the cause's text.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// ExitError is returned by Run if the master did not end in order.
type ExitError struct {
	Code   int // exit status for the process
	Reason string
}

// Error returns the reason.
func (e *ExitError) Error() string { return e.Reason }
