package systemd_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"prefork/systemd"
)

// A service takes the sockets of its socket unit, serves, feeds its watchdog,
// and says when it is ready and when it stops.
func Example() {
	files, err := systemd.Files(true)
	if err != nil {
		log.Fatal(err)
	}
	var listeners []net.Listener
	for _, f := range files {
		socket, err := systemd.Inspect(f.FD)
		if err != nil {
			log.Fatal(err)
		}
		if !socket.Stream() {
			log.Fatalf("socket unit %s: want a listening stream socket, got %v", f.Name, socket)
		}
		file := os.NewFile(uintptr(f.FD), f.Name)
		l, err := net.FileListener(file) // works on a copy
		if err != nil {
			log.Fatal(err)
		}
		if err := file.Close(); err != nil {
			log.Fatal(err)
		}
		listeners = append(listeners, l)
	}

	notifier, err := systemd.NewNotifier()
	if err != nil {
		log.Print(err) // and continue: a nil Notifier sends nothing
	}
	interval, err := systemd.WatchdogInterval(false)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if interval > 0 {
		go func() {
			for tick := time.Tick(interval / 2); ctx.Err() == nil; <-tick {
				if err := notifier.Watchdog(); err != nil {
					log.Print(err)
				}
			}
		}()
	}
	if err := notifier.Ready(fmt.Sprintf("serving %d listeners", len(listeners))); err != nil {
		log.Print(err)
	}
	// … serve, until it is time to go …
	if err := notifier.Stopping("draining"); err != nil {
		log.Print(err)
	}
}

// A listener in the store is there for the next incarnation even if this one
// is killed.
func ExampleNotifier_Store() {
	var notifier *systemd.Notifier // of NewNotifier
	listener := 5                  // the descriptor of a listening socket
	name := systemd.EscapeName("tcp://127.0.0.1:9999")
	if err := notifier.Store(name, listener); err != nil {
		log.Fatal(err)
	}
	// … and when it is no longer served:
	if err := notifier.Remove(name); err != nil {
		log.Fatal(err)
	}
}
