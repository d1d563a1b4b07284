package load

import (
	"sync"
	"time"
)

// maxMarks bounds what is remembered of the target.
const maxMarks = 10_000

// marks are the target's events so far. They are safe for use by several
// goroutines.
type marks struct {
	mu  sync.Mutex
	got []Mark
}

// Mark notes that something happened to the target just now. Marks of the
// warm-up, and those after the window, are dropped.
func (r *Run) Mark(kind, text string) {
	now := int64(time.Since(r.began))
	r.marks.mu.Lock()
	defer r.marks.mu.Unlock()
	if now >= r.windowBegins && now < r.windowEnds.Load() && len(r.marks.got) < maxMarks {
		r.marks.got = append(r.marks.got, Mark{AtS: seconds(now - r.windowBegins), Kind: kind, Text: text})
	}
}

func (m *marks) all() []Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Mark{}, m.got...) // never null in JSON
}
