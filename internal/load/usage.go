package load

import (
	"sync"
	"time"

	"prefork/internal/cpu"
)

// usage is the processor time that the window cost: ours, and that of the
// server if it is on this machine. mu guards all of it.
type usage struct {
	mu      sync.Mutex
	roots   []int         // of the server's processes
	own     time.Duration // when the window began; then what it cost
	servers time.Duration
	begun   bool
	ended   bool
	known   bool // servers is
}

// begin reads the clocks when the window begins. Without a warm-up that is before
// the loops start, because reading /proc would delay the first requests by
// milliseconds.
func (u *usage) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return
	}
	u.begun, u.own = true, ownCPU()
	u.servers, u.known = u.tree()
}

func (u *usage) finish() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	if !u.begun {
		u.own, u.servers = 0, 0
		return
	}
	u.own = ownCPU() - u.own
	now, known := u.tree()
	u.servers, u.known = now-u.servers, u.known && known
}

// tree sums up what the server has used so far.
func (u *usage) tree() (sum time.Duration, known bool) {
	for _, root := range u.roots {
		used, err := cpu.Tree(root)
		if err != nil {
			return 0, false
		}
		sum += used
	}
	return sum, len(u.roots) > 0
}

// server returns what the server cost, nil if that is not known.
func (u *usage) server(requests uint64) *ServerCost {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.begun || !u.known {
		return nil
	}
	s := &ServerCost{CPUS: u.servers.Seconds()}
	if requests > 0 {
		s.PerRequestUS = s.CPUS * 1e6 / float64(requests)
	}
	for _, root := range u.roots {
		members, err := cpu.Members(root)
		if err != nil {
			return nil // it has just ended
		}
		s.PIDs = append(s.PIDs, members...)
	}
	return s
}
