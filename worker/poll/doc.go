// Package poll waits until one of a few descriptors can be read. It is what
// selectors are to socketserver: the accept loop of a worker stands on it and
// does not care which system call is below.
//
//	         worker's accept loop
//	                 │ Add, Remove, Wait
//	              Poller
//	     ┌───────────┼───────────┐
//	   epoll        poll       select
//	exclusive,     a list     three words
//	one woken    all woken     all woken
//
// A Poller watches for readability, level-triggered: Wait reports a descriptor
// as long as it can be read. It belongs to one goroutine; nothing in it may be
// called from two at a time. To end a Wait from elsewhere, Add an eventfd and
// write to it.
//
// # What differs
//
// Many processes wait for the same listening socket. With epoll every
// descriptor is added with EPOLLEXCLUSIVE, so that the kernel wakes one of
// them; Remove and Add move the caller to the end of the queue, which is how
// workers take turns. With poll and select the kernel wakes all of them and the
// fastest wins: simple, portable, and a herd. Select cannot watch a descriptor
// at or above FD_SETSIZE (1024), and its Add says so.
//
// # How epoll waits
//
// An exclusive wake-up finds only those who block in epoll_wait itself, so the
// epoll descriptor must not be handed to Go's netpoller, which would block on
// an outer one. Wait therefore looks once without waiting, then, if the last
// call brought something, gives other goroutines a turn and waits up to two
// milliseconds in a system call that the scheduler does not see, and only then
// in one that it sees. The unseen wait keeps the goroutine's P: a busy loop is
// not charged for losing it and winning it back. It is short because the
// garbage collector may have to interrupt it, and needs GOMAXPROCS of at least
// two so that everybody else has a P meanwhile.
//
// # What it does not do
//
// It does not watch for writability, carry user data, or know what a socket
// is. Connections do not belong here: they live on Go's netpoller.
package poll
