package worker

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// settled waits until all goroutines of this package have ended and all
// descriptors are closed.
func settled(files int) error {
	var stacks string
	var now int
	ok := waitFor(func() bool {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		_, others, _ := strings.Cut(stacks, "\n\n") // the first is this goroutine
		now = openFiles()
		// Go's netpoller opens two more when it is first used.
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

// waitFor calls f repeatedly until it returns true or patience is over.
func waitFor(f func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if f() {
			return true
		}
		<-time.After(time.Millisecond) // between two calls of f
	}
	return f()
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	if !waitFor(f) {
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// within receives from ch, or fails the test after patience.
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
