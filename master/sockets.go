package master

import (
	"context"
)

// Socket is a listening socket from Sockets.Open.
type Socket struct {
	Name string
	FD   int
}

// Sockets are the listening sockets of a process that serves without a Master.
// The zero value is ready to use, by one goroutine at a time.
//
// Sockets that the service manager passed are taken at the first Open, since it
// passes them only once, and stay open until the process ends.
type Sockets struct {
	passed *passedSockets // nil before the first Open
	open   []*listener
}

// Open opens the sockets for the addresses; without any see DefaultListen. It
// reports all problems together, and then leaves nothing new open. A backlog of
// 0 is 4096. The descriptors are non-blocking and close-on-exec, and belong to
// s. Close must be called before the next Open.
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
	s.passed.claimed(all)
	s.open = all
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

// Close closes the sockets and removes the files of Unix sockets. Sockets from
// the service manager stay open, because clients wait in their queues for the
// next Open.
func (s *Sockets) Close() {
	for _, l := range s.open {
		l.close()
	}
	s.open = nil
}
