// Package cpu reads the CPU time of a server: of a process, of its living
// descendants, and of the children that any of them has reaped. It does not depend
// on other processes of the machine, or on the speed of the client.
//
//	Tree(root) = Σ living: clock_gettime(process CPU clock)   nanoseconds
//	           + Σ living: cutime + cstime of /proc/PID/stat  10 ms ticks
//
// The CPU clock of a living process includes threads that have ended. The time of
// reaped children is known in ticks only, so the figure of a server that forks per
// connection is exact to about 20 ms of the whole window.
//
// Over loopback the kernel runs the receiver's side of TCP in the context of the
// sender, which is charged for it.
package cpu
