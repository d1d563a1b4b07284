package top

import (
	"fmt"
	"slices"

	"prefork"
	"prefork/cmd/prefork/internal/control"
)

// maxEvents bounds the events that are kept.
const maxEvents = 256

// view is what is known of the server at one time.
type view struct {
	before, now *prefork.Status // the last two; before is nil at first
	events      []prefork.Event // oldest first
}

// Model is the state of the view. New makes one; it belongs to one goroutine.
type Model struct {
	live   view
	frozen *view // what is shown while paused

	sort     int // index into columns
	reversed bool
	selected int // pid of the worker, or 0
	row      int // where it stood last
	scroll   int // rows of the table above the screen
	moved    bool

	help     bool
	question *Wish // waits for y or n
	about    int   // pid of the worker that it is about
	said     string
	bad      bool // said is no good news
	waiting  int  // commands without a verdict

	page int // rows of the table on the last frame
}

// New returns a model that knows nothing yet.
func New() *Model { return &Model{} }

// Feed takes an item of the stream.
func (m *Model) Feed(item control.Item) {
	switch {
	case item.Status != nil:
		if m.live.now != nil && m.live.now.PID != item.Status.PID {
			m.live.now = nil // another server: nothing to compare with
		}
		m.live.before, m.live.now = m.live.now, item.Status
	case item.Event != nil:
		// A new slice each time it is full: a frozen view may share the old one.
		if len(m.live.events) >= 2*maxEvents {
			m.live.events = slices.Clone(m.live.events[len(m.live.events)-maxEvents:])
		}
		m.live.events = append(m.live.events, *item.Event)
	}
}

// Complete says whether there are two statuses, so that rates are known.
func (m *Model) Complete() bool { return m.live.before != nil }

// Ended reports whether the server has logged its end, and the exit status.
func (m *Model) Ended() (code int, ok bool) {
	for _, e := range slices.Backward(m.live.events) {
		if e.Message == "stopped" {
			n, isNumber := e.Fields["exit_code"].(float64)
			return int(n), isNumber
		}
	}
	return 0, false
}

// shown is the view on the screen.
func (m *Model) shown() *view {
	if m.frozen != nil {
		return m.frozen
	}
	return &m.live
}

// Say shows the outcome of a command.
func (m *Model) Say(w Wish, err error) {
	m.waiting--
	m.bad = err != nil
	if m.bad {
		m.said = fmt.Sprintf("%s slot %d: %v", w.verb(), w.Slot, err)
		return
	}
	m.said = fmt.Sprintf("slot %d: the worker is %s", w.Slot, w.done())
}

// rows are the workers of the view in the order of the screen.
func (m *Model) rows() []row {
	v := m.shown()
	rows := v.rows()
	c := columns[m.sort]
	slices.SortStableFunc(rows, func(a, b row) int {
		n := c.compare(&a, &b)
		if c.descends != m.reversed {
			return -n
		}
		return n
	})
	return rows
}

// position returns the row of the selected worker, or -1 if there is none. If the
// worker has ended, the one in its row is selected.
func (m *Model) position(rows []row) int {
	if len(rows) == 0 {
		m.selected, m.row = 0, 0
		return -1
	}
	i := slices.IndexFunc(rows, func(r row) bool { return r.PID == m.selected })
	if i < 0 {
		i = min(m.row, len(rows)-1)
		m.moved = m.moved && m.selected == 0
	}
	m.selected, m.row = rows[i].PID, i
	return i
}
