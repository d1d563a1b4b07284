// Command bench measures prefork beside its peers, all in one run, and prints
// tables for docs/benchmarks.md. It is a module of its own: it builds and
// drives the prefork program like any other peer, and nothing of the product
// imports it.
//
//	go run . [-rounds N] [-only echo,kill] [-quick] [-json] [-out FILE] [-write]    in bench/
//	go run . -from FILE,FILE [-json] [-write]                  shows what was measured
//	go run . -profile MODE [-load ARGS]                        samples a server by perf
//
// The figures:
//
//	echo     CPU per request, 64 connections that stay      prefork, Go net, C epoll
//	connect  CPU per connect, one exchange, close           the same
//	control  both again, with a client in C                 the same
//	forking  connections/s and p50, a process per each      prefork, Python's socketserver
//	spawn    from spawning a worker to its Ready            prefork; a plain Go process
//	kill     from SIGKILL to a reply by the replacement     prefork
//	poll     cost of a ready descriptor by idle ones        epoll, poll, select
//	load     what two load generators say of one nginx      prefork load, wrk
//
// The method of the first three:
//
//	for each round:                        a round begins with another server
//	  for each server, the control too:    than the one before it
//	    load connects and warms up
//	    read the CPU time of the server's process tree
//	    load runs its window, every reply verified
//	    wait until the tree has come to rest, read again
//
// A shared machine has good and bad minutes, so no two figures of different
// rounds are compared: the ratio of two servers is taken within each round,
// and the median over the rounds is reported with the least and the greatest.
// CPU time is the kernel's account of the server alone (package cpu); the
// client is a process of its own: prefork's load generator, or for the figure
// control one in C, so that no result depends on one client (package load).
//
// Every loop is bounded in time and count, everything is on 127.0.0.0/8, and
// what was started dies with the program. It judges nothing: there is no pass
// mark here.
package main
