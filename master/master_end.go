package master

import (
	"context"
	"errors"

	"prefork/master/policy"
)

// exitError is what Run returns.
func (m *Master) exitError() error {
	switch m.result.Code {
	case 0:
		return nil
	case policy.ExitConfig:
		return &ConfigError{errors.New(m.result.Err)}
	}
	return &ExitError{Code: m.result.Code, Reason: m.result.Err}
}

// Shutdown drains the server and waits until Run is about to return, or until
// ctx ends. Like Stop it may be called from any goroutine, also before Run: a
// start ends at once.
func (m *Master) Shutdown(ctx context.Context) error {
	request(m.drains)
	select {
	case <-m.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if m.result != nil && m.result.Err != "" {
		return errors.New(m.result.Err)
	}
	return nil // also if the start has failed, which Run reports
}

// Stop ends everything at once, and does not wait for it.
func (m *Master) Stop() { request(m.stops) }

// request fills c, whose one place stands for all requests.
func request(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (m *Master) close() { m.ended.Do(func() { close(m.done) }) }
