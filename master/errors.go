package master

// ConfigError marks an error that another try with the same configuration
// would meet again: the process should exit 78 (EX_CONFIG).
type ConfigError struct{ Err error }

// Error returns the cause's text.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// ExitError is returned by Run when the master ends otherwise than by an
// orderly drain.
type ExitError struct {
	Code   int // exit status for the process
	Reason string
}

// Error returns the reason.
func (e *ExitError) Error() string { return e.Reason }
