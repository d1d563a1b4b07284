package master

import (
	"slices"
	"strings"

	"prefork/ipc"
	"prefork/systemd"
)

// procsVariable limits the threads of Go's runtime that run at the same time.
const procsVariable = "GOMAXPROCS"

// environment returns the environment of a generation's workers: ours, marked,
// without the service manager's variables.
//
// A worker of mode forking serves one connection, so a second thread would only cost
// the time to start it. It gets GOMAXPROCS=1, unless the variable is set already.
func environment(ours []string, oneShot bool) []string {
	marks := []string{ipc.WorkerVariable, ipc.ProcsVariable}
	custom := false
	env := slices.DeleteFunc(systemd.Environ(ours), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		custom = custom || name == procsVariable
		return slices.Contains(marks, name)
	})
	env = append(env, ipc.WorkerVariable+"=1")
	if oneShot && !custom {
		env = append(env, procsVariable+"=1", ipc.ProcsVariable+"=1")
	}
	return env
}
