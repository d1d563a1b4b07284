package master

import (
	"context"
	"slices"
)

// Socket is a listening socket that Sockets has opened.
type Socket struct {
	Name string
	FD   int
}

// Sockets are the listening sockets of a process that serves without a Master.
// The zero value is ready for Open. It is for one goroutine at a time.
//
// What the service manager passed is taken over at the first Open and stays
// open until the process ends, for it is passed only once.
type Sockets struct {
	passed *passedSockets // nil before the first Open
	open   []*listener
}

// Open opens the sockets for the addresses, or without any those that
// DefaultListen tells of, with all problems reported at once
// and nothing new left open then. A backlog of 0 is 4096. The descriptors are
// non-blocking and close-on-exec; they stay the Sockets' own. There must be a
// Close between two calls that succeed.
func (s *Sockets) Open(ctx context.Context, addresses []string, backlog int, noReuseAddress bool) ([]Socket, error) {
	if s.passed == nil {
		passed, err := receiveSockets()
		if err != nil {
			return nil, &ConfigError{err}
		}
		s.passed = passed
	}
	b := newBinder(noReuseAddress, s.passed.kept(), s.passed)
	all, err := b.bind(ctx, s.passed.addresses(addresses))
	if err != nil {
		return nil, err
	}
	// Of the stored sockets those in use are ours now, and nobody wants the rest.
	for _, l := range s.passed.stored {
		if !slices.Contains(all, l) {
			l.stored = false
			l.close()
		}
	}
	s.passed.stored, s.open = nil, all
	sockets := make([]Socket, len(all))
	for i, l := range all {
		err := l.listen(orDefault(backlog), nil)
		if err == nil {
			err = l.reopen()
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		sockets[i] = Socket{Name: b.as[l].key, FD: l.fd}
	}
	return sockets, nil
}

// Close closes the sockets and removes the files of Unix ones. Those that the
// service manager passed stay open: it, too, keeps them, and clients wait in
// their queues for the next Open.
func (s *Sockets) Close() {
	for _, l := range s.open {
		l.close()
	}
	s.open = nil
}
