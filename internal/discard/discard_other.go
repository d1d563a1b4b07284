//go:build !amd64 && !arm64

package discard

import (
	"os"
	"os/signal"
)

// Signals is signal.Notify with a channel that nobody reads: see the package.
func Signals(signals ...os.Signal) { signal.Notify(make(chan os.Signal, 1), signals...) }
