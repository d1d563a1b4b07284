package worker

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// settled waits until no goroutine of this package and no descriptor is left.
func settled(files int) error {
	var stacks string
	var now int
	ok := waitFor(func() bool {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		_, others, _ := strings.Cut(stacks, "\n\n") // the first is this one
		now = openFiles()
		// Two more are Go's own netpoller, made on demand.
		return !strings.Contains(others, "prefork/worker.") && now <= files+2
	})
	if ok {
		return nil
	}
	return fmt.Errorf("left behind: %d descriptors, %d before: %v; goroutines:\n%s", now, files, fileNames(), stacks)
}

func fileNames() (names []string) {
	for fd := range 200 {
		if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries)
}

// waitFor asks again and again until f holds or patience ends.
func waitFor(f func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if f() {
			return true
		}
		<-time.After(time.Millisecond) // between two looks, not instead of one
	}
	return f()
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	if !waitFor(f) {
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// within fails the test if ch brings nothing in time.
func within[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}
