package policy

import (
	"fmt"
	"slices"
	"time"
)

// requests are the commands without an answer. Requests to recycle a worker are
// in the worker.
type requests struct {
	reloads   []Request // for the reload after the one that runs
	reloading []Request // for the one that runs
	ends      []Request // for the end of the server
	scales    []scaling
}

// scaling is a request for another size of the pool.
type scaling struct {
	request Request
	by      time.Duration // when it fails
	clamped string        // why the pool cannot have that size
}

func add(to *[]Request, r Request) {
	if r != 0 {
		*to = append(*to, r)
	}
}

// answer answers requests and forgets them.
func (m *Machine) answer(rs *[]Request, err string) {
	for _, r := range *rs {
		m.do(Answer{Request: r, Err: err})
	}
	*rs = nil
}

// refuse answers one request, if there is one, with an error.
func (m *Machine) refuse(r Request, err string) {
	if r != 0 {
		m.do(Answer{Request: r, Err: err})
	}
}

// onCancel forgets a request. Clients may come and leave faster than commands
// end.
func (m *Machine) onCancel(r Request) {
	for _, rs := range []*[]Request{&m.reloads, &m.reloading, &m.ends} {
		*rs = slices.DeleteFunc(*rs, func(o Request) bool { return o == r })
	}
	m.scales = slices.DeleteFunc(m.scales, func(s scaling) bool { return s.request == r })
	for _, w := range m.workers {
		w.requests = slices.DeleteFunc(w.requests, func(o Request) bool { return o == r })
	}
}

// answerScales answers requests whose pool has its size, and those whose time
// is over.
func (m *Machine) answerScales() {
	if len(m.scales) == 0 {
		return
	}
	if m.Ending() {
		for _, s := range m.scales {
			m.refuse(s.request, "the server is ending")
		}
		m.scales = nil
		return
	}
	serving, reached := m.sized()
	m.scales = slices.DeleteFunc(m.scales, func(s scaling) bool {
		if !reached && m.now < s.by {
			return false
		}
		a := Answer{Request: s.request, Err: s.clamped, Target: m.Target()}
		if !reached {
			a.Err = fmt.Sprintf("%d workers serve, want %s", serving, a.Target)
		}
		m.do(a)
		return true
	})
}

// sized counts the workers that serve, and reports whether the pool has its size.
// One-shot workers come and go and are never all ready, so that starting ones
// count as well.
func (m *Machine) sized() (serving int, reached bool) {
	g := m.serving
	starting := g.count(func(w *worker) bool { return w.state == WorkerStarting })
	serving = g.count(func(w *worker) bool { return w.serves() && !w.held && !w.served })
	switch {
	case m.coming != nil || m.rescale != nil:
		return serving, false
	case g.config.OneShot:
		return serving, starting+serving >= g.spare
	}
	return serving, starting == 0 && serving >= g.min && serving <= g.max
}

// unrecyclable returns why w cannot be recycled, if it cannot. One that already
// leaves can: the request waits for its exit.
func (m *Machine) unrecyclable(w *worker) string {
	switch {
	case w.state == WorkerStarting:
		return fmt.Sprintf("the worker in slot %d is only starting", w.slot)
	case w.held: // it may yet go, or serve again
		return fmt.Sprintf("the worker in slot %d is held until the reload has passed its probation", w.slot)
	case w.serves() && w.gen != m.serving:
		return fmt.Sprintf("the worker in slot %d belongs to a generation that does not serve yet", w.slot)
	}
	return ""
}
