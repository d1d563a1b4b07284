//go:build !amd64 && !arm64

package rawsignal

import (
	"os"
	"os/signal"
	"syscall"
)

// Discard is signal.Notify with a channel that nobody reads: see the package.
func Discard(signals ...os.Signal) { signal.Notify(make(chan os.Signal, 1), signals...) }

// Count adds 1 to the eventfd fd at each arrival of the signal.
func Count(s os.Signal, fd int) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, s)
	go func() {
		for range c {
			_, _ = syscall.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // any number but 0
		}
	}()
	return nil
}
