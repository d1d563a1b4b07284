// Package poll waits until one of many descriptors is ready, as selectors do for
// socketserver: the loop of a worker works with any of the system calls.
//
//	             worker's loop
//	                 │ Add, AddConn, SetWrite, Remove, Wait
//	              Poller
//	     ┌───────────┼───────────┐
//	   epoll        poll       select
//	exclusive,     a list     two sets
//	one woken    all woken    all woken
//
// A Poller is level-triggered: Wait reports a descriptor as long as it is ready. It
// watches a descriptor either until it can be read or until it can be written, so Wait
// need not say which. It belongs to one goroutine. To end a Wait from another one, Add
// an eventfd and write to it.
//
// # What differs
//
// Many processes wait for the same listening socket. With epoll, Add sets
// EPOLLEXCLUSIVE, so that the kernel wakes one of them; Remove and Add
// move the caller to the end of the queue of waiters, so that workers take turns.
// With poll and select the kernel wakes all of them. AddConn is for connections, which
// only one process has. Select cannot watch descriptors
// from FD_SETSIZE (1024) on; Add and AddConn return an error.
//
// A Wait in poll or select costs time for each watched descriptor, in epoll only for
// those that are ready. Epoll reports up to 256 at once. The other calls are cheap with
// all of them.
//
// # How epoll waits
//
// Exclusive wake-ups reach only threads that block in epoll_wait, so the epoll
// descriptor is not in Go's netpoller. Wait first looks without waiting. If the last
// call found something, it then lets other goroutines run (with connections in the
// poller, only now and then: they have another P) and waits up to two milliseconds in a system call of which the scheduler does not know. Only after that
// does it wait in an ordinary one. During the short wait the goroutine keeps its P,
// so a busy loop does not have to get it back. It is short because the garbage
// collector may have to wait for it. With a GOMAXPROCS of one there is no short wait.
//
// # What it does not do
//
// It does not watch for both directions at once, and has no edge-triggered mode. In
// modes other than event, connections are on Go's netpoller.
package poll
