package master

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"prefork/master/policy"
)

// ask is a request from another goroutine, run on the owner loop.
type ask func(m *Master)

// ErrStopped is returned by requests to a master that has ended.
var ErrStopped = errors.New("the server has stopped")

// do runs f on the owner loop and waits until it has run.
func (m *Master) do(ctx context.Context, f func(m *Master)) error {
	ran := make(chan struct{})
	select {
	case m.asks <- func(m *Master) { defer close(ran); f(m) }:
		<-ran
		return nil
	case <-m.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reply carries the one answer to a request. It has room for it, so that the
// owner loop never waits for a client that has left.
type reply chan Answer

// await returns the answer. One always comes: at the latest when the owner loop
// ends. A client that has left is forgotten.
func (m *Master) await(ctx context.Context, r reply) (Answer, error) {
	select {
	case a := <-r:
		return a, nil
	case <-ctx.Done():
		m.post(func(m *Master) { m.waiting.forget(r) })
		return Answer{}, ctx.Err()
	}
}

// waiters are the requests whose outcome is not known yet. The owner loop owns
// them.
type waiters struct {
	reloads   []reply // of a reload that has not begun
	reloading []reply // of the one that runs
	drains    []reply
	scales    []scaling
	recycles  map[policy.ID][]reply
}

// scaling is a request that ends when the pool has its new size.
type scaling struct {
	reply    reply
	deadline time.Duration // on the policy's clock
	clamped  string        // why the pool will not have the size that was asked for
}

func (w *waiters) reload(r reply) { w.reloads = append(w.reloads, r) }
func (w *waiters) drain(r reply)  { w.drains = append(w.drains, r) }

// begin is called when a reload begins: it covers who asked until now.
func (w *waiters) begin() {
	w.reloading = append(w.reloading, w.reloads...)
	w.reloads = nil
}

// reloaded answers those whom the ended reload covers; all of them if there
// will be no other.
func (w *waiters) reloaded(a Answer, last bool) {
	answerAll(w.reloading, a)
	w.reloading = nil
	if last {
		answerAll(w.reloads, a)
		w.reloads = nil
	}
}

// end answers everyone who is left when the owner loop has ended.
func (w *waiters) end(m *Master) {
	ended := Answer{Error: ErrStopped.Error(), Generation: m.machine.Generation()}
	w.begin()
	answerAll(w.reloading, ended)
	for _, s := range w.scales {
		s.reply <- ended
	}
	for _, rs := range w.recycles {
		answerAll(rs, ended)
	}
	answerAll(w.drains, Answer{OK: m.result.Err == "", Error: m.result.Err, Generation: m.machine.Generation()})
}

// forget takes a request out whose client has left: they may come faster than
// what they ask for ends.
func (w *waiters) forget(r reply) {
	is := func(o reply) bool { return o == r }
	w.reloads = slices.DeleteFunc(w.reloads, is)
	w.reloading = slices.DeleteFunc(w.reloading, is)
	w.drains = slices.DeleteFunc(w.drains, is)
	w.scales = slices.DeleteFunc(w.scales, func(s scaling) bool { return s.reply == r })
	for id, rs := range w.recycles {
		if w.recycles[id] = slices.DeleteFunc(rs, is); len(w.recycles[id]) == 0 {
			delete(w.recycles, id)
		}
	}
}

func answerAll(rs []reply, a Answer) {
	for _, r := range rs {
		r <- a
	}
}

// ask registers a waiter with add, feeds ev to the policy and waits for the
// answer.
func (m *Master) ask(ctx context.Context, add func(*waiters, reply), ev policy.Event) (Answer, error) {
	r := make(reply, 1)
	err := m.do(ctx, func(m *Master) {
		add(&m.waiting, r)
		m.step(ev)
	})
	if err != nil {
		return Answer{}, err
	}
	return m.await(ctx, r)
}

// drain asks for an orderly end and waits for it. Asked twice it waits twice:
// only a second signal ends the patience of a drain.
func (m *Master) drain(ctx context.Context) (Answer, error) {
	r := make(reply, 1)
	err := m.do(ctx, func(m *Master) {
		m.waiting.drain(r)
		if !m.ending() {
			m.step(policy.Drain{})
		}
	})
	if err != nil {
		return Answer{}, err
	}
	return m.await(ctx, r)
}

// scaleTo asks for a new number of workers and waits until they serve.
func (m *Master) scaleTo(ctx context.Context, ev policy.Scale) (Answer, error) {
	r := make(reply, 1)
	err := m.do(ctx, func(m *Master) {
		want, most := m.machine.Bounds(ev)
		switch {
		case m.ending():
			r <- Answer{Error: "the server is ending", Generation: m.machine.Generation()}
			return
		case want < 1 || want > most:
			asked := fmt.Sprintf("to %d", ev.To)
			if ev.To == 0 {
				asked = fmt.Sprintf("by %+d", ev.By)
			}
			r <- Answer{
				Error:      fmt.Sprintf("cannot scale %s: the pool has %s, and may have 1 to %d", asked, m.target(), most),
				Generation: m.machine.Generation(), Target: m.target().String(),
			}
			return
		}
		m.step(ev)
		s := scaling{reply: r, deadline: m.now() + m.startTimeout()}
		if t := m.target(); t.fewest != want {
			s.clamped = fmt.Sprintf("%d is out of bounds; the pool has %s", want, t)
		}
		m.waiting.scales = append(m.waiting.scales, s)
	})
	if err != nil {
		return Answer{}, err
	}
	return m.await(ctx, r)
}

// recycle asks for the worker in a slot to be replaced, by one that comes first
// or, if now, that comes later, and waits until it is gone. One that goes
// already is waited for as well.
func (m *Master) recycle(ctx context.Context, slot int, now bool) (Answer, error) {
	r := make(reply, 1)
	err := m.do(ctx, func(m *Master) {
		refuse := func(format string) {
			r <- Answer{Error: fmt.Sprintf(format, slot), Generation: m.machine.Generation()}
		}
		views := m.machine.Workers()
		i := slices.IndexFunc(views, func(v policy.WorkerView) bool { return v.Slot == slot })
		if i < 0 || m.workers[views[i].ID] == nil {
			refuse("no worker in slot %d")
			return
		}
		id := views[i].ID
		switch v := views[i]; {
		case v.State == policy.WorkerStarting:
			refuse("the worker in slot %d is only starting")
			return
		case v.Held: // it may yet go, or serve again
			refuse("the worker in slot %d is held until the reload has passed its probation")
			return
		case v.State != policy.WorkerDraining && v.State != policy.WorkerExiting && v.Generation != m.machine.Generation():
			refuse("the worker in slot %d belongs to a generation that does not serve yet")
			return
		}
		if m.waiting.recycles == nil {
			m.waiting.recycles = map[policy.ID][]reply{}
		}
		m.waiting.recycles[id] = append(m.waiting.recycles[id], r)
		m.step(policy.Recycle{ID: id, Now: now})
	})
	if err != nil {
		return Answer{}, err
	}
	return m.await(ctx, r)
}

// settle answers the requests that the last event has brought to their end.
func (m *Master) settle() {
	for id, rs := range m.waiting.recycles {
		if m.workers[id] == nil {
			answerAll(rs, Answer{OK: true, Generation: m.machine.Generation()})
			delete(m.waiting.recycles, id)
		}
	}
	if len(m.waiting.scales) == 0 {
		return
	}
	target := m.target()
	serving, starting := m.pool()
	reached := starting == 0 && serving >= target.fewest && serving <= target.most
	if target.most == 0 { // spares come and go under load: never all ready at once
		reached = starting+serving >= target.fewest
	}
	now := m.now()
	left := m.waiting.scales[:0]
	for _, s := range m.waiting.scales {
		a := Answer{OK: reached, Generation: m.machine.Generation(), Target: target.String()}
		switch {
		case reached:
			a.OK, a.Error = s.clamped == "", s.clamped
		case now > s.deadline:
			a.Error = fmt.Sprintf("%d workers serve, want %s", serving, target)
		default:
			left = append(left, s)
			continue
		}
		s.reply <- a
	}
	m.waiting.scales = left
}
