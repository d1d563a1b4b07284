package policy

import "fmt"

// State is the state of the server.
type State uint8

// The states of a Machine. During the lame-duck time it is Draining.
const (
	Booting   State = iota // the first generation starts
	Running                // one generation serves
	Reloading              // another is being loaded and started
	Probation              // the other serves, its predecessor is held
	Draining               // an orderly end
	Killing                // an end
	Stopped                // no worker is left; nothing happens any more
)

var stateNames = [...]string{"booting", "running", "reloading", "probation", "draining", "killing", "stopped"}

// String returns the name in the status.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// WorkerState is the state of a worker.
type WorkerState uint8

// The states of a worker.
const (
	WorkerStarting WorkerState = iota // spawned, or about to be
	WorkerReady                       // could accept
	WorkerBusy                        // has connections in hand
	WorkerDraining                    // held, or finishing what it has
	WorkerExiting                     // its exit is due
	WorkerGone                        // reaped
)

var workerStateNames = [...]string{"starting", "ready", "busy", "draining", "exiting", "gone"}

// String returns the name in the status.
func (s WorkerState) String() string {
	if int(s) < len(workerStateNames) {
		return workerStateNames[s]
	}
	return fmt.Sprintf("worker state(%d)", uint8(s))
}
