package worker

import (
	"bytes"
	"sync"
	"testing"

	"prefork/ipc"
	"prefork/worker/poll"
)

// eventFuncs is an EventHandler made of functions, each of which may be nil. It records
// the errors that Close gets.
type eventFuncs struct {
	open  func(c *Conn) error
	data  func(c *Conn, in []byte, eof bool) (int, error)
	close func(c *Conn, err error)

	mu   sync.Mutex
	ends []error
}

func (h *eventFuncs) Open(c *Conn) error {
	if h.open == nil {
		return nil
	}
	return h.open(c)
}

func (h *eventFuncs) Data(c *Conn, in []byte, eof bool) (int, error) {
	if h.data == nil {
		_, err := c.Write(in)
		return len(in), err
	}
	return h.data(c, in, eof)
}

func (h *eventFuncs) Close(c *Conn, err error) {
	h.mu.Lock()
	h.ends = append(h.ends, err)
	h.mu.Unlock()
	if h.close != nil {
		h.close(c, err)
	}
}

// ended waits until n connections have ended, and returns their errors.
func (h *eventFuncs) ended(t testing.TB, n int) []error {
	t.Helper()
	get := func() []error {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.ends
	}
	eventually(t, "the handler's Close", func() bool { return len(get()) >= n })
	ends := get()
	if len(ends) != n {
		t.Fatalf("Close was called %d times for %d connections: %v", len(ends), n, ends)
	}
	return ends
}

// endedOne is ended for one connection.
func (h *eventFuncs) endedOne(t testing.TB) error {
	t.Helper()
	return h.ended(t, 1)[0]
}

// onEvents runs f with a worker in mode event for each poller.
func onEvents(t *testing.T, cfg Config, make func() *eventFuncs, f func(t *testing.T, r *rig, h *eventFuncs)) {
	for _, name := range poll.Names() {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			cfg.Mode, cfg.Poller = Event, name
			h := make()
			f(t, accepting(t, cfg, Options{EventHandler: h}), h)
		})
	}
}

// byLine answers each line, and a last one without a line feed, with f of it.
func byLine(f func(line []byte) []byte) func(c *Conn, in []byte, eof bool) (int, error) {
	return func(c *Conn, in []byte, eof bool) (consumed int, err error) {
		for {
			rest := in[consumed:]
			i := bytes.IndexByte(rest, '\n')
			if i < 0 && !(eof && len(rest) > 0) {
				return consumed, nil
			}
			if i < 0 {
				i = len(rest) - 1
			}
			consumed += i + 1
			if _, err := c.Write(f(rest[:i+1])); err != nil {
				return consumed, err
			}
		}
	}
}

// drainedWith expects that the worker says that it has drained, and has cut so many.
func (r *rig) drainedWith(cut int) {
	r.t.Helper()
	eventually(r.t, "drained", func() bool { return got[*ipc.Drained](r) != nil })
	if d := got[*ipc.Drained](r); d.Cut != cut {
		r.t.Errorf("%d connections were cut, want %d", d.Cut, cut)
	}
}
