package worker

import (
	"encoding/json"

	"go.uber.org/zap"
)

// Options is the program that a worker runs: what cannot travel from the
// master because it is code. Exactly one of Handler, NewHandler and Service
// must be set once Configure has run.
type Options struct {
	Handler    Handler        // one value for all connections
	NewHandler func() Handler // one value a connection
	Service    Service        // accepts for itself

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
