package livefork

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
)

// Condition is a reason why this process must not be forked.
type Condition struct {
	Name   string // one of the constants
	Detail string // words for an operator

	restless bool // it may pass when the threads of a crowded machine have run
}

// The names of the conditions.
const (
	Platform  = "platform"  // neither linux/amd64 nor linux/arm64, or /proc shows too little
	Forked    = "forked"    // this process is a forked child
	OneP      = "one P"     // GOMAXPROCS is not 1
	Cgo       = "cgo"       // the program was built with cgo
	Thread    = "thread"    // a thread cannot be parked: LockOSThread was used
	OSSignal  = "os/signal" // signal.Notify was used
	Goroutine = "goroutine" // a foreign goroutine exists
	Netpoller = "netpoller" // a descriptor is registered, or there is a second epoll instance
	Sysmon    = "sysmon"    // sysmon never slept
)

func (c *Condition) Error() string { return c.Detail }

func condition(name, format string, args ...any) *Condition {
	return &Condition{Name: name, Detail: fmt.Sprintf(format, args...)}
}

func restless(name, format string, args ...any) *Condition {
	c := condition(name, format, args...)
	c.restless = true
	return c
}

// parker is the function that starts the goroutines that park threads.
var parker = reflect.TypeFor[Forker]().PkgPath() + ".(*Forker).parkThread"

// maxStacks bounds the stacks of all goroutines that are looked at.
const maxStacks = 1 << 20

// foreign returns the condition that a goroutine violates, or nil if there is none
// but the caller and the parkers.
func foreign() *Condition {
	buf := make([]byte, 16<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < maxStacks {
		buf = make([]byte, 4*len(buf))
		n = runtime.Stack(buf, true)
	}
	stacks := strings.Split(string(bytes.TrimSpace(buf[:n])), "\n\n")
	for _, stack := range stacks[1:] { // the first is the caller
		if c := foreignStack(stack); c != nil {
			return c
		}
	}
	return nil
}

func foreignStack(stack string) *Condition {
	head, creator, ok := strings.Cut(stack, "\ncreated by ")
	if !ok {
		return condition(Goroutine, "the fork was not asked for by main's goroutine, which waits elsewhere")
	}
	creator, _, _ = strings.Cut(creator, "\n")
	creator, _, _ = strings.Cut(creator, " in goroutine ")
	switch {
	case creator == parker, strings.HasPrefix(creator, "runtime."):
		return nil
	case strings.Contains(head, "\nos/signal.loop("), strings.HasPrefix(creator, "os/signal."):
		return condition(OSSignal, "package os/signal is used: signal.Notify was called before the fork")
	}
	return condition(Goroutine, "a goroutine of package %s was started before Run (created by %s)", packageOf(creator), creator)
}

// packageOf returns the import path of a function's package.
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}

// unparkable names the reason for a thread that waits for ever in a futex but is not on
// the scheduler's list of idle threads: it is the template thread, which cgo and
// runtime.LockOSThread start.
func unparkable() *Condition {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "CGO_ENABLED" && s.Value == "1" {
				return condition(Cgo, "the program was built with cgo: build it with CGO_ENABLED=0")
			}
		}
	}
	return condition(Thread, "a thread of the runtime cannot be parked: runtime.LockOSThread was called before Run")
}
