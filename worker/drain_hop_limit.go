package worker

import "golang.org/x/sys/unix"

// Before the final drain the master keeps new handshakes out of the queues. On
// kernels that allow it no socket filter it does so with a hop limit on the
// listener, which drops SYNs; a connection whose handshake completes after that
// inherits the limit and would drop what its client sends. Lifting it costs
// nothing that matters, for it happens only at the very end of a worker.

// liftHopLimit undoes on a connection what it may have inherited. Errors are
// those of sockets that are not of that family, and of closed ones.
func liftHopLimit(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, 0)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, 0)
}

// liftHopLimits is liftHopLimit for every connection: one may have come between
// the master's order and its arrival.
func (t *connTable) liftHopLimits() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := t.first; c != nil; c = c.next {
		_ = c.control("set", func(fd int) error { // closed: nothing to lift
			liftHopLimit(fd)
			return nil
		})
	}
}
