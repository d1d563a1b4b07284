package worker

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// Options is the program that a worker runs: what cannot travel from the
// master because it is code. Once Configure has run, EventHandler must be set in mode
// Event, and exactly one of Handler, NewHandler and Service in the other modes. A
// program that has both works in every mode.
type Options struct {
	Handler    Handler        // one value for all connections
	NewHandler func() Handler // one value a connection
	Service    Service        // accepts for itself

	EventHandler EventHandler // of mode Event

	Hooks Hooks

	// Configure is called once before the worker is ready, with the settings
	// that the master's configuration holds for it. It may fill in the fields
	// above. An error is reported to the master as a configuration error.
	Configure func(settings json.RawMessage, o *Options) error

	// NewLogger makes the worker's log once the master has said how it wants
	// it. nil means no log.
	NewLogger func(format, level string) (*zap.Logger, zap.AtomicLevel, error)

	// Build names the program's version in the handshake.
	Build string
}

// Check says what is wrong with the program once Configure has run.
func (o *Options) Check(cfg Config) error {
	if cfg.Mode == Event {
		return o.checkEvent(cfg)
	}
	programs := 0
	for _, set := range []bool{o.Handler != nil, o.NewHandler != nil, o.Service != nil} {
		if set {
			programs++
		}
	}
	switch {
	case programs > 1:
		return errors.New("several programs: set one of Handler, NewHandler and Service")
	case programs == 0 && o.EventHandler != nil:
		return fmt.Errorf("no program for mode %s: the EventHandler is for mode event", cfg.Mode)
	case programs == 0:
		return errors.New("no program: set Handler, NewHandler, Service or Configure")
	}
	if _, ok := o.Service.(AccessLogger); !ok && cfg.AccessLog && cfg.AccessFormat == AccessCommon {
		return errors.New("access_format: common is for programs that serve HTTP, through handlers.HTTPServer; json is for all")
	}
	h := &o.Hooks
	if o.Service != nil && (h.BaseContext != nil || h.ConnContext != nil || h.ProcessRequest != nil || h.HandleError != nil) {
		return errors.New("options: a Service accepts and serves for itself, so the hooks BaseContext, ConnContext, ProcessRequest and HandleError would never be called")
	}
	return nil
}
