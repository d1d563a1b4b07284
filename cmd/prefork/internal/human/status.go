package human

// SilentAlarm is the silence of a worker, in seconds, from which on it is shown
// in red: ten times what its loop allows itself.
const SilentAlarm = 5

// StateStyle is the colour of a state of a server or a worker: green serves,
// yellow is between two states, red is ending by force.
func StateStyle(state string) Style {
	switch state {
	case "running", "ready", "busy":
		return Green
	case "killing", "stopped", "exiting":
		return Red
	}
	return Yellow
}

// WorkersText says how many workers a target is.
func WorkersText(target string) string {
	if target == "1" {
		return "1 worker"
	}
	return target + " workers"
}
