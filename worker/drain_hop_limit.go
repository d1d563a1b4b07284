package worker

import "golang.org/x/sys/unix"

// Before the final drain the master keeps new handshakes out of the queues. If the
// kernel does not allow it a socket filter, it sets a hop limit on the listener,
// which drops SYNs. A connection whose handshake completes after that inherits the
// limit, and would drop everything that its client sends.

// liftHopLimit removes that limit from a connection. It fails for the other address
// family and for closed sockets, where there is none.
func liftHopLimit(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, 0)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 0)
}

// liftHopLimits is liftHopLimit for every connection: some may have been accepted
// after the limit was set.
func (t *connTable) liftHopLimits() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.first; c != nil; c = c.next {
		_ = c.control("set", func(fd int) error {
			liftHopLimit(fd)
			return nil
		})
	}
}
