// Command bench measures prefork beside its peers, all in one run, and prints
// tables for docs/benchmarks.md. It is a module of its own: it builds and
// drives the prefork program like any other peer, and nothing of the product
// imports it.
//
//	go run . [-rounds N] [-only echo,kill] [-quick] [-json] [-out FILE] [-write]    in bench/
//	go run . -from FILE,FILE [-json] [-write]                  shows what was measured
//	go run . -profile MODE [-load ARGS]                        samples a server by perf
//
// The figures, each one suite or several:
//
//	echo         lines on connections that stay: 64 bytes and 16 KiB, 1, 64 and 1,000 of them
//	pipelined    16 lines in flight on each of 64 connections
//	http         keep-alive: an answer without a file, 1 KiB, 64 KiB
//	rate         an open loop at 25, 50 and 75 % of the control's capacity, and at 2,000 requests/s
//	churn        connect, one line, close
//	control      the main part of echo and churn, with a client in C
//	forking      churn, with a process for each connection
//	floor        processes that do nothing, from start to end
//	spawn        from spawning a worker to its Ready
//	kill         from SIGKILL to a reply by the replacement
//	reload       from HUP to a new generation that accepts
//	skew         how connections spread over workers, and wake-ups per accept
//	idle         memory of 18,000 and of 100,000 silent connections
//	master-idle  wake-ups of processes without clients
//	status       a status of 256 workers
//	poll         cost of a ready descriptor by idle ones
//	load         what two load generators say of one nginx
//
// The rows. What a figure compares does the same work: each line in upper case, from
// pooled buffers, whole lines in one write. ×N is the number of processes, of workers,
// or for gnet of event loops.
//
//	C epoll               the control; several processes have a listener each
//	C io_uring, C fork    the same on a ring; with a process for each connection
//	Go net, net/http      what a Go programmer would write; several processes have a listener each
//	gnet, netpoll         event loops in Go, in one process
//	fasthttp, fiber       HTTP with their own prefork
//	nginx, Python         as they come; several processes of nginx have a listener each
//	empty programs        a process cannot cost less
//
// Several listeners on one port (SO_REUSEPORT) get the connections by the kernel's hash
// of the addresses. Workers of prefork take them from one queue.
//
// A row is left out of a suite where it would say nothing new, so that the whole run
// takes less than 20 minutes on two processors: servers of several processes with one
// connection, four workers but in echo-64, churn and skew, peers in other suites than
// those that they are known for. A peer that cannot be had is left out, and the report
// says why.
//
// The method of the suites with a CPU time:
//
//	for each round:                        a round begins with another server
//	  for each server, the control too:    than the one before it
//	    load connects and warms up
//	    read the CPU time of the server's process tree
//	    load runs its window, every reply verified
//	    read it again: of connections that stay at the end of the window, of
//	    others when the tree has come to rest
//
// A shared machine has good and bad minutes, so no two figures of different
// rounds are compared: the ratio of two servers is taken within each round,
// and the median over the rounds is reported with the least and the greatest.
// CPU time is the kernel's account of the server alone (package cpu). Windows are
// short, because there are many rows: 0.4 s are tens of thousands of requests. The
// client is a process of its own: prefork's load generator, or for the figure
// control one in C, so that no result depends on one client (package load).
//
// Every loop is bounded in time and count, everything is on 127.0.0.0/8, and
// what was started dies with the program. It judges nothing: there is no pass
// mark here.
package main
