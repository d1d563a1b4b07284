package master

import (
	"prefork/ipc"
	"prefork/master/policy"
)

// apply carries out one action. What goes wrong becomes an event.
func (m *Master) apply(a policy.Action) {
	switch a := a.(type) {
	case policy.Load:
		m.startLoad()
	case policy.Spawn:
		m.applySpawn(a)
	case policy.Listen:
		m.listen(a.Generation)
	case policy.Accept:
		if w := m.workers[a.ID]; w != nil {
			w.serving, m.peersChanged = true, true
			m.send(w, &ipc.Resume{})
		}
	case policy.DrainWorker:
		m.applyDrain(a)
	case policy.LameDuck:
		m.sendTo(a.ID, &ipc.LameDuck{})
	case policy.StopWorker:
		if w := m.workers[a.ID]; w != nil {
			w.stopped = true
			m.send(w, &ipc.Stop{})
		}
	case policy.Dump:
		m.sendTo(a.ID, &ipc.Dump{})
	case policy.Kill:
		m.applyKill(a.ID)
	case policy.Quiesce:
		m.applyQuiesce(a.Generation)
	case policy.Commit:
		m.applyCommit(a.Generation)
	case policy.Retire:
		m.retire(a.Generation)
	case policy.Notify:
		m.applyNotify(a)
		if a.State == policy.NotifyStopping {
			m.syncStore() // what is about to be closed must not come back
		}
	case policy.Answer:
		m.applyAnswer(a)
	case policy.Verdict:
		m.applyVerdict(a)
	case policy.Note:
		m.applyNote(a)
	case policy.KillLeftovers:
		m.killLeftovers()
	case policy.Exit:
		m.result = &a
	}
}
