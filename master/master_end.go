package master

import (
	"context"
	"errors"

	"prefork/master/policy"
)

// verdict is what Run returns.
func (m *Master) verdict() error {
	switch m.result.Code {
	case 0:
		return nil
	case exitConfig:
		return &ConfigError{errors.New(m.result.Err)}
	}
	return &ExitError{Code: m.result.Code, Reason: m.result.Err}
}

// exitConfig is EX_CONFIG of sysexits.h: another try would fail as well.
const exitConfig = 78

// Shutdown drains the server and waits until Run is about to return, or until
// ctx ends. It may be called from any goroutine.
func (m *Master) Shutdown(ctx context.Context) error {
	answer, err := m.drain(ctx)
	if err != nil {
		return err
	}
	if !answer.OK {
		return errors.New(answer.Error)
	}
	return nil
}

// ending says whether the master is on its way out.
func (m *Master) ending() bool {
	switch m.machine.State() {
	case policy.Draining, policy.Killing, policy.Stopped:
		return true
	}
	return false
}

// close ends every wait for the owner loop.
func (m *Master) close() { m.ended.Do(func() { close(m.done) }) }
