package master

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// statuses shares the answers to requests for the status: the owner loop makes
// one answer for all requests that came before it began, and one a second for
// all streams.
type statusCache struct {
	mu        sync.Mutex     // guards what follows
	asked     *statusRequest // which the owner loop has not begun to answer; nil if there is none
	snapshot  *snapshot
	published chan struct{} // closed when there is another snapshot

	due time.Time // of the next snapshot; the owner loop's
}

// statusAsk is a request that several goroutines share.
type statusRequest struct {
	done   chan struct{}
	status Status
	err    error
}

// snapshot is a status that all streams send.
type snapshot struct {
	status Status
	once   sync.Once
	data   []byte // as JSON
}

func newStatuses() *statusCache { return &statusCache{published: make(chan struct{})} }

// Status describes the server as it is now. It may be called from any
// goroutine while Run runs; its error is ctx's, or ErrStopped.
func (m *Master) Status(ctx context.Context) (Status, error) {
	c := m.statusCache
	c.mu.Lock()
	ask := c.asked
	if ask == nil {
		ask = &statusRequest{done: make(chan struct{})}
		c.asked = ask
		go m.answer(ask)
	}
	c.mu.Unlock()
	select {
	case <-ask.done:
		return ask.status.clone(), ask.err
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
}

// answer lets the owner loop answer. A request that comes after it has begun is a
// new one: it must see what has happened since.
func (m *Master) answer(ask *statusRequest) {
	begin := func() {
		c := m.statusCache
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.asked == ask {
			c.asked = nil
		}
	}
	ask.err = m.do(context.Background(), func(m *Master) {
		begin()
		ask.status = m.status()
	})
	begin() // if the loop has ended
	close(ask.done)
}

// publish makes a snapshot if there is a stream to read it, once a streamTick.
func (m *Master) publish() {
	now := time.Now()
	if m.streams.Load() == 0 || now.Before(m.statusCache.due) {
		return
	}
	// Half a sample less: a sample that is a little early must not be left out.
	m.statusCache.due = now.Add(streamTick - m.base.Policy.SampleInterval/2)
	s := &snapshot{status: m.status()}
	c := m.statusCache
	c.mu.Lock()
	defer c.mu.Unlock()
	c.snapshot = s
	close(c.published)
	c.published = make(chan struct{})
}

// next returns the last snapshot, and a channel that is closed when there is
// another.
func (c *statusCache) next() (*snapshot, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot, c.published
}

// json returns the snapshot's text, which is made once.
func (s *snapshot) json() []byte {
	s.once.Do(func() { s.data, _ = json.Marshal(s.status) }) // it has nothing that cannot be written
	return s.data
}

// clone returns a copy that shares nothing with s.
func (s Status) clone() Status {
	s.Listeners = slices.Clone(s.Listeners)
	s.Workers = slices.Clone(s.Workers)
	s.Slots = slices.Clone(s.Slots)
	s.HandlerLatency = s.HandlerLatency.clone()
	s.ConnectionAge = s.ConnectionAge.clone()
	return s
}

func (h Histogram) clone() Histogram {
	h.BoundsS, h.Counts = slices.Clone(h.BoundsS), slices.Clone(h.Counts)
	return h
}
