// Package cpu reads what the kernel has charged a server for: the CPU time of
// a process, of its living descendants, and of the children that any of them
// has reaped. It is what a request costs, whoever else was on the machine and
// however fast the client was.
//
//	Tree(root) = Σ living: clock_gettime(process CPU clock)   nanoseconds
//	           + Σ living: cutime + cstime of /proc/PID/stat  10 ms ticks
//
// A living process is read through its CPU clock, which includes threads that
// have ended; /proc/PID/stat shows the same sum cut to ticks. Only the dead
// are known in ticks alone, so a figure of a server that forks per connection
// is true to about 20 ms of the whole window.
//
// The price of loopback delivery is in these figures: the kernel runs the
// receiver's side of TCP in the context of whoever sends.
package cpu
