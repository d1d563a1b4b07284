package master

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"prefork/master/policy"
)

// ask is a function that another goroutine wants the owner loop to run.
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

// command feeds an event to the policy and waits for the answer. event runs on
// the owner loop; its error is the answer.
func (m *Master) command(ctx context.Context, event func(r policy.Request) (policy.Event, error)) (Answer, error) {
	answer := make(chan Answer, 1) // the owner loop never waits for a client that has left
	var r policy.Request
	err := m.do(ctx, func(m *Master) {
		m.requests++
		r = m.requests
		ev, err := event(r)
		if err != nil {
			answer <- Answer{Error: err.Error(), Generation: m.machine.Generation()}
			return
		}
		m.waiting[r] = answer
		m.step(ev)
	})
	if err != nil {
		return Answer{}, err
	}
	select {
	case a := <-answer: // one always comes, at the latest when the owner loop ends
		return a, nil
	case <-ctx.Done():
		m.post(func(m *Master) {
			delete(m.waiting, r)
			m.step(policy.Cancel{Request: r})
		})
		return Answer{}, ctx.Err()
	}
}

// recycle replaces the worker in a slot and waits until it is gone. If now, the
// replacement comes after that.
func (m *Master) recycle(ctx context.Context, slot int, now bool) (Answer, error) {
	return m.command(ctx, func(r policy.Request) (policy.Event, error) {
		views := m.machine.Workers()
		i := slices.IndexFunc(views, func(v policy.WorkerView) bool { return v.Slot == slot })
		if i < 0 || m.workers[views[i].ID] == nil {
			return nil, fmt.Errorf("no worker in slot %d", slot)
		}
		return policy.Recycle{ID: views[i].ID, Now: now, Request: r}, nil
	})
}

// applyAnswer answers a command.
func (m *Master) applyAnswer(a policy.Answer) {
	if answer := m.waiting[a.Request]; answer != nil {
		delete(m.waiting, a.Request)
		answer <- Answer{OK: a.Err == "", Error: a.Err, Generation: m.machine.Generation(), Target: a.Target}
	}
}
