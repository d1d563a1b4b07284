package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const maxStreams = 64

// streamTick is how often a stream sends the status.
const streamTick = time.Second

// streamPatience is how long a client may take to read an event.
const streamPatience = 10 * time.Second

// streamer serves one client of ServeStream.
type streamer struct {
	master *Master
	w      http.ResponseWriter
	rc     *http.ResponseController
	r      *http.Request
	seen   uint64 // the last event that was sent
}

// ServeStream sends server-sent events until the client leaves or the master
// ends: log lines as "log" with an Event, first those that are kept; and the
// Status as "status", once a second. With Last-Event-ID or ?after=SEQ it sends
// only later log lines. It checks no permission; the control socket does.
func (m *Master) ServeStream(w http.ResponseWriter, r *http.Request) {
	if n := m.streams.Add(1); n > maxStreams {
		m.streams.Add(-1)
		writeJSON(w, http.StatusServiceUnavailable, Answer{Error: fmt.Sprintf("%d clients follow the server already", maxStreams)})
		return
	}
	defer m.streams.Add(-1)
	s := &streamer{master: m, w: w, rc: http.NewResponseController(w), r: r}
	if err := s.resume(); err != nil {
		writeJSON(w, http.StatusBadRequest, Answer{Error: err.Error()})
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	s.run()
}

// resume reads what the client has seen.
func (s *streamer) resume() error {
	after := s.r.Header.Get("Last-Event-ID")
	if v := s.r.FormValue("after"); v != "" {
		after = v
	}
	if after == "" {
		return nil
	}
	if _, err := fmt.Sscanf(after, "%d", &s.seen); err != nil {
		return fmt.Errorf("after=%q is not the number of an event", after)
	}
	return nil
}

// run sends until the client or the master ends. If a write fails the client has
// left.
func (s *streamer) run() {
	tick := time.NewTicker(streamTick)
	defer tick.Stop()
	for more := s.status(); more; {
		_, changed := s.master.eventLog.after(s.seen)
		if !s.events() {
			return
		}
		select {
		case <-changed:
		case <-tick.C:
			more = s.status()
		case <-s.r.Context().Done():
			return
		case <-s.master.done:
			s.events()
			return
		}
	}
}

// events sends what the client has not seen, and reports whether it is still
// there, as does status.
func (s *streamer) events() bool {
	events, _ := s.master.eventLog.after(s.seen)
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil || !s.send(fmt.Sprintf("id: %d\nevent: log", e.Seq), data) {
			return false
		}
		s.seen = e.Seq
	}
	return true
}

func (s *streamer) status() bool {
	now, err := s.master.Status(s.r.Context())
	if err != nil {
		return errors.Is(err, ErrStopped) // the last events are yet to be sent
	}
	data, err := json.Marshal(now)
	return err == nil && s.send("event: status", data)
}

// send writes one event and reports whether the client is still there.
func (s *streamer) send(head string, data []byte) bool {
	_ = s.rc.SetWriteDeadline(time.Now().Add(streamPatience)) // not every writer can
	_, err := fmt.Fprintf(s.w, "%s\ndata: %s\n\n", head, data)
	return err == nil && s.rc.Flush() == nil
}
