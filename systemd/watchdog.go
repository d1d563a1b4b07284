package systemd

import (
	"errors"
	"math"
	"os"
	"strconv"
	"time"
)

// WatchdogInterval returns how often, at least, systemd wants Notifier.Watchdog,
// or 0 if it does not watch this process: WATCHDOG_USEC is absent, or WATCHDOG_PID
// names another. A malformed variable is an *EnvError. The caller should send it
// twice an interval, while all is well. With unset, both variables are removed from
// the environment in any case. As sd_watchdog_enabled(3).
func WatchdogInterval(unset bool) (time.Duration, error) {
	interval, err := parseWatchdog(os.LookupEnv, os.Getpid())
	if unset {
		err = errors.Join(err, unsetAll(watchdogVariables))
	}
	return interval, err
}

func parseWatchdog(env lookup, pid int) (time.Duration, error) {
	value, ok := env(envWatchdogUSec)
	if !ok {
		return 0, nil
	}
	if owner, ok := env(envWatchdogPID); ok {
		n, err := strconv.ParseInt(owner, 10, 32)
		if err != nil || n < 1 {
			return 0, &EnvError{Variable: envWatchdogPID, Value: owner, Problem: "it is not a process ID",
				Remedy: "it must be the ID of the process that is watched, or absent"}
		}
		if int(n) != pid {
			return 0, nil
		}
	}
	const most = math.MaxInt64 / int64(time.Microsecond)
	usec, err := strconv.ParseInt(value, 10, 64)
	if err != nil || usec < 1 || usec > most {
		return 0, &EnvError{Variable: envWatchdogUSec, Value: value, Problem: "it is not a number of microseconds",
			Remedy: "set WatchdogSec= in the unit, or unset the variable"}
	}
	return time.Duration(usec) * time.Microsecond, nil
}
