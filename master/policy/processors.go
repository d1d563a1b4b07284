package policy

// leastProcs is what the loop of a worker with many connections needs: while it waits
// for a moment it keeps one P.
const leastProcs = 2

// Procs returns the GOMAXPROCS of each worker if the server may use so many CPUs; 0
// leaves it to Go's runtime. The workers of a pool share the CPUs: as many threads as
// CPUs in each of them would only compete, and a runtime looks for work in all its Ps
// before it sleeps.
func (c Config) Procs(cpus int) int {
	switch {
	case c.GOMAXPROCS > 0:
		return c.GOMAXPROCS
	case c.OneShot:
		return 1 // a connection rarely needs more, and each thread takes time to start
	}
	workers := max(c.Min, c.Max, 1)
	if n := max((cpus+workers-1)/workers, leastProcs); n < cpus {
		return n
	}
	return 0
}
