// Package poll waits until one of a few descriptors can be read, as selectors do for
// socketserver: the accept loop of a worker works with any of the system calls.
//
//	         worker's accept loop
//	                 │ Add, Remove, Wait
//	              Poller
//	     ┌───────────┼───────────┐
//	   epoll        poll       select
//	exclusive,     a list     three words
//	one woken    all woken     all woken
//
// A Poller is level-triggered: Wait reports a descriptor as long as it can be read.
// It belongs to one goroutine. To end a Wait from another one, Add an eventfd and
// write to it.
//
// # What differs
//
// Many processes wait for the same listening socket. With epoll every descriptor
// is added with EPOLLEXCLUSIVE, so that the kernel wakes one of them; Remove and Add
// move the caller to the end of the queue of waiters, so that workers take turns.
// With poll and select the kernel wakes all of them. Select cannot watch descriptors
// from FD_SETSIZE (1024) on; Add returns an error.
//
// # How epoll waits
//
// Exclusive wake-ups reach only threads that block in epoll_wait, so the epoll
// descriptor is not in Go's netpoller. Wait first looks without waiting. If the last
// call found something, it then lets other goroutines run and waits up to two
// milliseconds in a system call of which the scheduler does not know. Only after that
// does it wait in an ordinary one. During the short wait the goroutine keeps its P,
// so a busy loop does not have to get it back. It is short because the garbage
// collector may have to wait for it, and needs a GOMAXPROCS of at least two.
//
// # What it does not do
//
// It does not watch for writability. Connections are on Go's netpoller.
package poll
