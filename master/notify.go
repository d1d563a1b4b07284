package master

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"prefork/ipc"
	"prefork/master/policy"
	"prefork/systemd"
)

// openNotifier connects to the service manager, if there is one. A manager
// that cannot be reached is no reason not to serve.
func (m *Master) openNotifier() error {
	interval, err := systemd.WatchdogInterval(false)
	if err != nil {
		return &ConfigError{err}
	}
	m.watchdog = interval / 2
	if m.notify, err = systemd.NewNotifier(); err != nil {
		m.log.Warn("service manager not reached", zap.Error(err))
		m.notify = &systemd.Notifier{}
	}
	m.notify.Wait = notifyWait
	return nil
}

// notifyWait is how long the owner loop waits for a manager whose queue is
// full. It reads the queue within microseconds unless it is in trouble itself.
const notifyWait = 5 * time.Millisecond

// closeNotifier waits until the manager has read what it was told last, so
// that the end of this process does not overtake it.
func (m *Master) closeNotifier() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := m.notify.Barrier(ctx); err != nil {
		m.log.Warn("service manager not notified", zap.Error(err))
	}
	_ = m.notify.Close()
}

// applyNotify passes a transition on to the service manager.
func (m *Master) applyNotify(a policy.Notify) {
	var err error
	switch a.State {
	case policy.NotifyReady:
		err = m.notify.Ready(m.headline(a.Status))
	case policy.NotifyReloading:
		err = m.notify.Reloading()
	case policy.NotifyStopping:
		err = m.notify.Stopping(a.Status)
		m.syncStore() // what is about to be closed must not come back
	case policy.NotifyStatus:
		err = m.notify.Status(m.headline(a.Status))
	}
	m.headlined = a.Status
	m.unsent = nil
	if errors.Is(err, systemd.ErrBusy) {
		m.unsent = &a // the next sample tries again
	}
	if err != nil {
		m.log.Warn("service manager not notified", zap.Error(err))
	}
}

// headline is the status line: what the policy says, and how busy it is.
func (m *Master) headline(status string) string {
	active := int32(0)
	for _, w := range m.workers {
		active += max(0, m.board.Slot(w.slot).Active.Load())
	}
	return fmt.Sprintf("%s, %d active", status, active)
}

// tell keeps the service manager's view current: the status line, the time a
// drain may take, and the watchdog. It runs at every sample.
func (m *Master) tell() {
	if !m.notify.Enabled() {
		return
	}
	if m.unsent != nil {
		m.applyNotify(*m.unsent)
	}
	line := m.headline(m.headlined)
	var err error
	if line != m.statusLine {
		if err = m.notify.Status(line); err == nil {
			m.statusLine = line
		}
	}
	if err == nil && m.ending() {
		err = m.notify.Extend(extension)
	}
	if err == nil && m.watchdog > 0 && time.Since(m.fed) >= m.watchdog-m.base.Policy.SampleInterval && m.quorum() {
		if err = m.notify.Watchdog(); err == nil {
			m.fed = time.Now()
		}
	}
	if err != nil {
		m.log.Warn("service manager not notified", zap.Error(err))
	}
}

// extension is how much longer the service manager is asked to wait, each
// second of a drain anew.
const extension = 10 * time.Second

// quorum says whether at least half of the serving workers have a heartbeat
// that is not overdue. The service manager restarts a service whose watchdog
// is not fed.
func (m *Master) quorum() bool {
	serving, alive := 0, 0
	for _, w := range m.workers {
		if !w.serving || w.generation != m.current.number {
			continue
		}
		serving++
		beat := m.board.Slot(w.slot).Beat.Load()
		if beat == 0 || time.Duration(ipc.Now()-beat) < m.watchdog {
			alive++
		}
	}
	return 2*alive >= serving
}
