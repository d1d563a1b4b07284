package master

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"prefork/master/policy"
	"prefork/systemd"
)

// openNotifier connects to the service manager, if there is one. The server
// starts even if it cannot be reached.
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

// notifyWait is how long the owner loop waits while the manager's queue is
// full.
const notifyWait = 5 * time.Millisecond

// closeNotifier waits until the manager has read the last message, so that it
// sees it before the end of this process.
func (m *Master) closeNotifier() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := m.notify.Barrier(ctx); err != nil {
		m.log.Warn("service manager not notified", zap.Error(err))
	}
	_ = m.notify.Close()
}

// applyNotify sends a transition to the service manager, after those that still
// wait.
func (m *Master) applyNotify(a policy.Notify) {
	if a.State == policy.NotifyReady {
		m.noteAddrs()
	}
	m.policyStatus = a.Status
	m.unsent = queueNotify(m.unsent, a)
	m.flushNotify()
}

// queueNotify adds a message to those that could not be sent. It keeps the
// order, because with Type=notify-reload systemd waits for RELOADING and then
// READY, and drops what is outdated: at most three wait.
func queueNotify(queue []policy.Notify, a policy.Notify) []policy.Notify {
	last := len(queue) - 1
	switch {
	case last < 0:
		return []policy.Notify{a}
	case a.State == policy.NotifyStatus: // a newer text for the same state
		queue[last].Status = a.Status
		return queue
	case queue[last].State == policy.NotifyStatus:
		queue[last] = a
		return queue
	}
	for i, q := range queue {
		if q.State == a.State {
			return append(queue[:i], a)
		}
	}
	return append(queue, a)
}

// flushNotify sends waiting messages until the manager has no room. The next
// sample tries again.
func (m *Master) flushNotify() {
	for len(m.unsent) > 0 {
		err := m.sendNotify(m.unsent[0])
		m.noteNotified(err)
		if errors.Is(err, systemd.ErrBusy) {
			return
		}
		m.unsent = m.unsent[1:]
	}
}

func (m *Master) sendNotify(a policy.Notify) error {
	switch a.State {
	case policy.NotifyReady:
		return m.notify.Ready(m.statusText(a.Status))
	case policy.NotifyReloading:
		return m.notify.Reloading()
	case policy.NotifyStopping:
		return m.notify.Stopping(a.Status)
	}
	return m.notify.Status(m.statusText(a.Status))
}

// noteNotified logs the first message that cannot be sent, and the first one
// that can be sent again.
func (m *Master) noteNotified(err error) {
	switch {
	case err != nil && !m.notifyFailing:
		m.log.Warn("service manager not notified", zap.Error(err))
	case err == nil && m.notifyFailing:
		m.log.Info("service manager notified again")
	}
	m.notifyFailing = err != nil
}

// statusText is the status line: the policy's text and the number of
// connections.
func (m *Master) statusText(status string) string {
	active := 0
	for _, w := range m.workers {
		active += w.active()
	}
	return fmt.Sprintf("%s, %d active", status, active)
}

// notifyProgress runs at every sample. It updates the status line and the
// store, and asks for more time.
func (m *Master) notifyProgress() {
	if !m.notify.Enabled() {
		return
	}
	m.flushNotify()
	if len(m.unsent) > 0 {
		return // no room for anything else
	}
	if len(m.storeFailed) > 0 {
		m.syncStore()
	}
	if m.machine.NeedsTime() {
		m.noteNotified(m.notify.Extend(extension))
	}
	line := m.statusText(m.policyStatus)
	if line == m.sentStatus {
		return
	}
	err := m.notify.Status(line)
	if err == nil {
		m.sentStatus = line
	}
	m.noteNotified(err)
}

// extension is how much more time the service manager is asked for, again at
// every sample.
const extension = 10 * time.Second

// feed feeds the watchdog if it is time and enough workers have a heartbeat.
func (m *Master) feed() {
	m.now() // so that an absence is noticed before the heartbeats are read
	m.feedAt = time.Now().Add(m.watchdogCheck())
	if time.Since(m.lastFed) < m.watchdog-m.watchdogCheck() || !m.quorum() {
		return
	}
	err := m.notify.Watchdog()
	if err == nil {
		m.lastFed = time.Now()
	}
	m.noteNotified(err)
}

func (m *Master) watchdogCheck() time.Duration {
	return policy.WatchdogCheck(m.watchdog, m.machine.SampleAfter())
}

func (m *Master) quorum() bool {
	var silent []time.Duration
	for _, w := range m.workers {
		if w.serving && w.generation == m.current.number {
			silent = append(silent, m.clock.silence(w.heartbeat()))
		}
	}
	return policy.Quorum(silent, m.watchdog)
}
