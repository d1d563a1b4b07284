package master

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"prefork/master/policy"
)

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

// commands are the requests that change the server, by their names below /v1/.
// Each runs on the owner loop and returns an event for the policy, or nil if it is
// done.
var commands = map[string]func(m *Master, r *http.Request, id policy.Request) (policy.Event, error){
	"reload": func(_ *Master, _ *http.Request, id policy.Request) (policy.Event, error) {
		return policy.Reload{Request: id}, nil
	},
	"drain": func(_ *Master, _ *http.Request, id policy.Request) (policy.Event, error) {
		return policy.Drain{Request: id}, nil
	},
	"stop": func(_ *Master, _ *http.Request, id policy.Request) (policy.Event, error) {
		return policy.Stop{Request: id}, nil
	},
	"scale": func(_ *Master, r *http.Request, id policy.Request) (policy.Event, error) {
		return scale(r.FormValue("n"), id)
	},
	"recycle": func(m *Master, r *http.Request, id policy.Request) (policy.Event, error) {
		return m.recycle(r.FormValue("slot"), false, id)
	},
	"drain-worker": func(m *Master, r *http.Request, id policy.Request) (policy.Event, error) {
		return m.recycle(r.FormValue("slot"), true, id)
	},
	"log-level": func(m *Master, r *http.Request, _ policy.Request) (policy.Event, error) {
		return nil, m.setLevel(r.FormValue("level"))
	},
}

// scale reads 4, +1 or -1. In a query + means a space.
func scale(text string, id policy.Request) (policy.Event, error) {
	if rest, ok := strings.CutPrefix(text, " "); ok {
		text = "+" + rest
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("n=%q is not a number such as 4, +1 or -1", text)
	case text[0] == '+' || text[0] == '-':
		return policy.Scale{By: n, Request: id}, nil
	case n < 1:
		return nil, fmt.Errorf("n=%d: at least one worker; to end the server, drain it", n)
	}
	return policy.Scale{To: n, Request: id}, nil
}

// recycle replaces the worker in a slot; if now, the replacement comes later.
func (m *Master) recycle(text string, now bool, id policy.Request) (policy.Event, error) {
	slot, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("slot=%q is not a number", text)
	}
	for _, w := range m.workers {
		if w.slot == slot {
			return policy.Recycle{ID: w.id, Now: now, Request: id}, nil
		}
	}
	return nil, fmt.Errorf("no worker in slot %d", slot)
}

// command feeds an event to the policy and waits for the answer. event runs on
// the owner loop; if it returns none, that is the answer.
func (m *Master) command(ctx context.Context, event func(policy.Request) (policy.Event, error)) (Answer, error) {
	answer := make(chan Answer, 1) // the owner loop never waits for a client that has left
	var r policy.Request
	err := m.do(ctx, func(m *Master) {
		m.requests++
		r = m.requests
		ev, err := event(r)
		a := Answer{OK: err == nil, Generation: m.machine.Generation()}
		switch {
		case err != nil:
			a.Error = err.Error()
			answer <- a
		case ev == nil:
			answer <- a
		default:
			m.waiting[r] = answer
			m.step(ev)
		}
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

// applyAnswer answers a command.
func (m *Master) applyAnswer(a policy.Answer) {
	if answer := m.waiting[a.Request]; answer != nil {
		delete(m.waiting, a.Request)
		answer <- Answer{OK: a.Err == "", Error: a.Err, Generation: m.machine.Generation(), Target: a.Target}
	}
}
