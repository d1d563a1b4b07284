package worker

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"prefork/internal/rawsignal"
)

// discarded are the signals that are meant for the master, and SIGPIPE, which a broken
// standard error causes.
var discarded = []os.Signal{unix.SIGINT, unix.SIGHUP, unix.SIGPIPE}

// discardSignals discards the signals. Others, such as SIGUSR1, Go's runtime discards.
// It lasts until the process ends: a signal after Run must not make the exit look like
// a crash.
func discardSignals(signals ...os.Signal) {
	// A write to a terminal would be repeated for ever if SIGTTOU were caught.
	signal.Ignore(unix.SIGTTIN, unix.SIGTTOU)
	rawsignal.Discard(signals...)
}

// countTerm returns an eventfd that counts each SIGTERM.
func countTerm() (fd int, err error) {
	if fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return -1, fmt.Errorf("create eventfd: %w", err)
	}
	if err := rawsignal.Count(unix.SIGTERM, fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// terminations is the file of countTerm's descriptor, which package os would close if
// nothing referred to the file.
var terminations *os.File

// signalled returns a context that ends with ctx or with the first SIGTERM. terminate
// comes from countTerm, or is -1. It stays open, because a signal's handler may
// write to it at any time.
//
// A worker of many connections uses package os/signal from here on. A program may use
// that as well, and stop it: then a signal that package rawsignal handles would end the
// process. It costs too much for one connection.
func signalled(ctx context.Context, terminate int, once bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	switch {
	case terminate < 0:
	case once:
		go func() {
			terminations = os.NewFile(uintptr(terminate), "signals")
			var count [8]byte
			if _, err := terminations.Read(count[:]); err == nil {
				cancel()
			}
		}()
	default:
		signal.Notify(make(chan os.Signal, 1), discarded...)
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGTERM)
		var count [8]byte
		if n, _ := unix.Read(terminate, count[:]); n > 0 { // it came before
			cancel()
		}
		go func() {
			select {
			case <-signals:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}
