package main

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// betweenConnects is more than a worker needs to accept and to sleep again, and so short
// that with eight workers none of them has waited for two milliseconds, to sleep in
// another way: that would be one more wake-up without a connection. The sleep itself and
// the connect add as much again.
const betweenConnects = 100 * time.Microsecond

// oneAtATime opens connections that say nothing, one after the other, and holds all of
// them while it calls f.
func (s *server) oneAtATime(n int, f func() error) error {
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // nothing was sent
		}
	}()
	pause := unix.NsecToTimespec(int64(betweenConnects)) // a ticker's grain is a millisecond
	for range n {
		c, err := net.DialTimeout("tcp", s.address, replyTimeout)
		if err != nil {
			return fmt.Errorf("connect one at a time: %w", err)
		}
		conns = append(conns, c)
		_ = unix.Nanosleep(&pause, nil) // a shorter one does no harm
	}
	return f()
}
