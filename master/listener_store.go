package master

import (
	"go.uber.org/zap"

	"prefork/systemd"
)

// claim reports stored sockets and sockets of units that the first generation
// does not use.
func (m *Master) claim() {
	unused := m.passed.claimed(m.current.listeners)
	for _, key := range unused {
		m.log.Info("stored listener not used", zap.String("listener", key))
		if err := m.notify.Remove(storeName(key)); err != nil {
			m.log.Warn("listener not removed from the store", zap.String("listener", key), zap.Error(err))
		}
	}
	for name, list := range m.passed.units {
		for _, l := range list {
			if !m.current.has(l) {
				m.log.Warn("passed socket not used: name it or its address in listen",
					zap.String("listener", name), zap.String("address", l.address))
			}
		}
	}
}

// syncStore puts the serving generation's listeners, and no others, into the
// service manager's store. If the master is killed, the next one gets them with
// the connections in their queues.
func (m *Master) syncStore() {
	failed := map[string]bool{} // the next sample tries again
	defer func() { m.storeFailed = failed }()
	complain := func(what, key string, err error) {
		if !m.storeFailed[key] { // logged once
			m.log.Warn(what, zap.String("listener", key), zap.Error(err))
		}
		failed[key] = true
	}
	want := map[string]*listener{}
	for _, l := range m.current.listeners {
		// In a drain a Unix listener has lost its file. A TCP listener stays: it
		// refuses handshakes until the next master opens it, or until the unit has
		// stopped and systemd closes it.
		if !l.external && l.listening && (l.network == "tcp" || !m.machine.Ending()) {
			want[l.storeKey()] = l
		}
	}
	for key, l := range m.stored {
		if want[key] == l {
			continue
		}
		if err := m.notify.Remove(storeName(key)); err != nil {
			complain("listener not removed from the store", key, err)
			continue
		}
		delete(m.stored, key)
		l.stored = false
	}
	for key, l := range want {
		if m.stored[key] != nil { // perhaps one that could not be removed
			continue
		}
		if err := m.notify.Store(storeName(key), l.fd); err != nil {
			complain("listener not stored", key, err)
			continue
		}
		m.stored[key] = l
		l.stored = m.notify.Enabled()
	}
}

func storeName(key string) string { return systemd.EscapeName(storePrefix + key) }
