package policy

import (
	"testing"
	"time"
)

// The answer to a Spawn may come late, because a zygote starts or does not answer. A
// worker that is not wanted any more need not be started, and that is nobody's failure.
func TestAWorkerThatIsGivenUpBeforeItsSpawnIsNoCrash(t *testing.T) {
	m := New()
	spawned := map[ID]bool{}
	step := func(at time.Duration, ev Event) {
		for _, a := range m.Step(at, ev) {
			switch a := a.(type) {
			case Spawn:
				spawned[a.ID] = true
			case Note:
				if a.Level > Info {
					t.Errorf("after %T: %s %v", ev, a.Message, a.Fields)
				}
			}
		}
	}
	step(0, Boot{Config: Config{OneShot: true, MinSpare: 2, Max: 4}})
	if !m.MaySpawn(1) || m.MaySpawn(2) {
		t.Error("only generation 1 may spawn")
	}
	step(time.Second, Stop{})
	if m.MaySpawn(1) {
		t.Error("a server that stops may spawn")
	}
	for id := range spawned {
		if m.WorkerState(id) != WorkerExiting {
			t.Errorf("worker %d is %v", id, m.WorkerState(id))
		}
		step(2*time.Second, SpawnFailed{ID: id, Err: "not needed any more"})
	}
	if m.State() != Stopped || m.Restarts() != 0 {
		t.Errorf("the state is %v after %d restarts", m.State(), m.Restarts())
	}
}

// A generation that drains spawns until its queue is empty.
func TestADrainingGenerationMaySpawnUntilItsQueueIsEmpty(t *testing.T) {
	m := New()
	m.Step(0, Boot{Config: Config{OneShot: true, MinSpare: 1, Max: 4, Probation: -1}})
	m.Step(1, Spawned{ID: 1, PID: 1})
	m.Step(2, Ready{ID: 1})
	m.Step(3, Listening{Generation: 1})
	m.Step(4, Drain{})
	if !m.MaySpawn(1) {
		t.Error("the queue may not be empty")
	}
	m.Step(5, Drained{ID: 1})
	if m.MaySpawn(1) {
		t.Error("the worker has found the queue empty")
	}
}
