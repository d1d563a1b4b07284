package human

// SilentAlarm is the time without a heartbeat, in seconds, after which a worker is
// shown in red: ten times the interval of its loop.
const SilentAlarm = 5

// StateStyle is the colour of a state of a server or a worker: green while it
// serves, red while it is killed or has ended, yellow otherwise.
func StateStyle(state string) Style {
	switch state {
	case "running", "ready", "busy":
		return Green
	case "killing", "stopped", "exiting":
		return Red
	}
	return Yellow
}

// SpawnText says how workers are started, and why they are not forked.
func SpawnText(spawn, reason string) string {
	if reason == "" {
		return spawn
	}
	return spawn + ", not forked: " + reason
}

// ModeText is a mode, with how it starts its workers if there is a choice.
func ModeText(mode, spawn string) string {
	if spawn == "" {
		return mode
	}
	return mode + " (" + spawn + ")"
}

// WorkersText says how many workers a target is.
func WorkersText(target string) string {
	if target == "1" {
		return "1 worker"
	}
	return target + " workers"
}
