package master

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"prefork/ipc"
	"prefork/systemd"
)

// procsVariable limits the threads of Go's runtime that run at the same time.
const procsVariable = "GOMAXPROCS"

// environment returns the environment of a generation's workers: ours, marked,
// without the service manager's variables. procs is their GOMAXPROCS, or 0; the value
// that the operator has set wins.
func environment(ours []string, procs int) []string {
	marks := []string{ipc.WorkerVariable, ipc.ProcsVariable, ipc.ZygoteVariable}
	custom := false
	env := slices.DeleteFunc(systemd.Environ(ours), func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		if name == procsVariable {
			custom = custom || validProcs(value)
			return !validProcs(value)
		}
		return slices.Contains(marks, name)
	})
	env = append(env, ipc.WorkerVariable+"=1")
	if procs > 0 && !custom {
		env = append(env, procsVariable+"="+strconv.Itoa(procs), ipc.ProcsVariable+"=1")
	}
	return env
}

// validProcs reports whether Go's runtime accepts the value of GOMAXPROCS. It ignores
// others.
func validProcs(value string) bool {
	n, err := strconv.ParseInt(value, 10, 32)
	return err == nil && n > 0
}

// CPUs is how many processors the server may use: those of its affinity, at most as
// many as the quota of its cgroup is worth.
func CPUs() int {
	if validProcs(os.Getenv(procsVariable)) { // then the runtime does not say
		return runtime.NumCPU()
	}
	return runtime.GOMAXPROCS(0)
}
