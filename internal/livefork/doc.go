// Package livefork forks a running Go program, so that the copy goes on where the
// program was: what main has prepared is there, shared copy-on-write.
//
// fork(2) copies one thread. A Go program has more, and its scheduler counts on them:
// a child whose scheduler waits for a thread that only the parent has would hang. So
// the program is first brought into a state in which one thread is all that the
// runtime needs, and that state is proven before each fork:
//
//	thread             what it does at the fork           what a child lacks
//	the caller         runs the only goroutine, holds P   nothing: it is copied
//	sysmon             sleeps in nanosleep or futex       no preemption, no P taken from a system call
//	any other thread   sleeps in read of the parking      nothing: no thread that the
//	                   pipe (a parker)                    scheduler could call is idle
//
// The invariants, each checked at run time; a *Condition names the one that fails:
//
//   - GOMAXPROCS is 1, so no thread but the caller runs Go code.
//   - No goroutine exists but the caller's and the parkers'.
//   - The netpoller holds nothing but its own eventfd. The child gets a new epoll
//     instance and a new eventfd under the same numbers.
//   - Every other thread is a parker, except one. That one is sysmon, since sysmon
//     always exists and never reads the pipe. cgo, runtime.LockOSThread and os/signal
//     leave a thread that cannot be parked, so they fail this check.
//   - sysmon did not run while the memory was copied. The caller has seen it asleep, and
//     sysmon's scheduling counters are the same then, before and after clone(2). A child
//     waits for this verdict in a futex and exits with Stillborn if sysmon ran.
//
// Between Prove and Fork the caller must not block in ordinary system calls, since
// sysmon then gives P to a new thread; Fork notices that by the number of threads, and
// proves again. Wait waits without giving P away.
//
// Pending timers do not matter. They live in the P's heap, which is copied, and fire in
// each child, as they would in each executed process.
//
// In a child one P runs without sysmon. A running goroutine is not preempted; one that
// blocks in a system call stops the others; memory that was freed is not given back to
// the kernel in the background. GOMAXPROCS must stay 1: the runtime knows the child's
// first thread by the number that it had in the parent, so it could not interrupt it.
// syscall.AllThreadsSyscall, which setuid uses, would wait for the parent's threads. A
// child cannot fork again.
package livefork
