//go:build !amd64 && !arm64

package rawsignal

import (
	"os"
	"os/signal"
)

// Discard is signal.Notify with a channel that nobody reads: see the package.
func Discard(signals ...os.Signal) { signal.Notify(make(chan os.Signal, 1), signals...) }
