package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// painter puts colours on words, or leaves them as they are.
type painter struct{ on bool }

// painterFor returns one that paints if w is a terminal and nothing speaks
// against it: NO_COLOR (no-color.org) or a terminal that cannot.
func painterFor(w io.Writer) painter {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return painter{}
	}
	return painter{on: isTerminal(f)}
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

func (p painter) code(sgr, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

func (p painter) bold(s string) string   { return p.code("1", s) }
func (p painter) dim(s string) string    { return p.code("2", s) }
func (p painter) red(s string) string    { return p.code("31", s) }
func (p painter) green(s string) string  { return p.code("32", s) }
func (p painter) yellow(s string) string { return p.code("33", s) }

// state colours the state of a server or a worker: green serves, yellow is on
// its way, red is ending by force.
func (p painter) state(s string) string {
	switch s {
	case "running", "ready", "busy":
		return p.green(s)
	case "killing", "stopped", "exiting":
		return p.red(s)
	}
	return p.yellow(s)
}
