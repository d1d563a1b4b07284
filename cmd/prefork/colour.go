package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"prefork/cmd/prefork/internal/human"
)

// painterFor returns one that paints if w is a terminal and nothing speaks
// against it: NO_COLOR (no-color.org) or a terminal that cannot.
func painterFor(w io.Writer) human.Painter {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return human.Painter{}
	}
	return human.Painter{On: isTerminal(f)}
}

func isTerminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	terminal := false
	err = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		terminal = err == nil
	})
	return err == nil && terminal
}

// stateColour colours the state of a server or a worker: green serves, yellow
// is on its way, red is ending by force.
func stateColour(p human.Painter) func(string) string {
	return func(s string) string {
		switch s {
		case "running", "ready", "busy":
			return p.Green(s)
		case "killing", "stopped", "exiting":
			return p.Red(s)
		}
		return p.Yellow(s)
	}
}
