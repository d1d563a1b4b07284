package load

import (
	"sync"
	"time"
)

// usage is the processor time that the window cost. The goroutine in watch
// owns it until finish returns.
type usage struct {
	mu     sync.Mutex
	began  time.Duration // of this process
	begun  bool
	closed bool
	own    time.Duration // in the window
}

// watch reads the clocks when the window begins.
func (u *usage) watch(r *Run, ended <-chan struct{}) {
	timer := time.NewTimer(time.Until(r.began.Add(time.Duration(r.windowBegins))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.began, u.begun = ownCPU(), true
	}
}

// finish reads them again.
func (u *usage) finish() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	if u.begun {
		u.own = ownCPU() - u.began
	}
}

// server returns the cost of the server, nil if it is not known.
func (u *usage) server(uint64) *ServerCost { return nil }
