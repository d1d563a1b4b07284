package systemd

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The variables of the contract.
const (
	envNotify        = "NOTIFY_SOCKET"
	envListenPID     = "LISTEN_PID"
	envListenPIDFDID = "LISTEN_PIDFDID" // systemd 258 and later: the same statement, safe against PID reuse
	envListenFDs     = "LISTEN_FDS"
	envListenFDNames = "LISTEN_FDNAMES"
	envWatchdogUSec  = "WATCHDOG_USEC"
	envWatchdogPID   = "WATCHDOG_PID"
)

var (
	listenVariables   = []string{envListenPID, envListenPIDFDID, envListenFDs, envListenFDNames}
	watchdogVariables = []string{envWatchdogUSec, envWatchdogPID}
)

// EnvError is an invalid variable.
type EnvError struct {
	Variable string
	Value    string // empty if the variable is missing
	Problem  string // what is wrong with it
	Remedy   string // what to do about it
}

// Error names the variable, the problem and the remedy.
func (e *EnvError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("read %s: %s; %s", e.Variable, e.Problem, e.Remedy)
	}
	return fmt.Sprintf("read %s=%.80q: %s; %s", e.Variable, e.Value, e.Problem, e.Remedy)
}

// lookup is os.LookupEnv, or a map in tests.
type lookup func(name string) (string, bool)

// Environ returns env, in the form of os.Environ, without the variables that are
// for this process alone: NOTIFY_SOCKET, LISTEN_* and WATCHDOG_*. JOURNAL_STREAM
// stays, because a child's standard error is the same stream.
func Environ(env []string) []string {
	strip := slices.Concat([]string{envNotify}, listenVariables, watchdogVariables)
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(strip, name)
	})
}

func unsetAll(names []string) error {
	for _, name := range names {
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unset %s: %w", name, err)
		}
	}
	return nil
}
