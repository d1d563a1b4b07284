package master

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"prefork/ipc"
)

// sampled returns the number of samples that the policy has received.
func (r *running) sampled() int {
	n := 0
	for _, e := range r.log.FilterMessage("step").All() {
		if event, _ := e.ContextMap()["event"].(string); strings.HasPrefix(event, "sampled") {
			n++
		}
	}
	return n
}

func TestTheOwnerLoopContinuesWhileProcDoesNotAnswer(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.until("the figures of the worker's process", func(s Status) bool { return len(s.Workers) == 1 && s.Workers[0].RSSBytes > 0 })
	answer := make(chan struct{})
	t.Cleanup(func() { close(answer) })
	r.untilLoop("the kernel to be silent", func(m *Master) bool {
		m.readProcess = func(int) process {
			<-answer
			return process{}
		}
		return true
	})
	before := r.sampled()
	r.untilLoop("samples all the same", func(*Master) bool { return r.sampled() > before+5 })
	if s := r.serves(1); s.Workers[0].RSSBytes == 0 {
		t.Error("status has forgotten what was last seen")
	}
}

func TestTheStatusHasTheFiguresOfAWorkerThatIsReady(t *testing.T) {
	g := generationOf(1, "", "tcp://127.0.0.1:0")
	g.Policy.SampleInterval = time.Hour
	r := start(t, Options{Generation: g})
	r.serves(1)
	r.until("the worker's memory", func(s Status) bool { return s.Workers[0].RSSBytes > 0 })
}

// One fake worker reports that it has no room. The other does not.
func TestAPoolIsFullWhenConnectionsWaitAndNoWorkerHasRoom(t *testing.T) {
	for do, want := range map[string]bool{"full": true, "": false} {
		r := start(t, Options{Generation: generationOf(2, do, "tcp://127.0.0.1:0")})
		s := r.serves(2)
		looks := 0
		r.untilLoop("ten samples without waiting connections", func(m *Master) bool { looks++; return looks > 10 && !m.connectionsWait() })
		if r.log.FilterMessage("pool full").Len() > 0 {
			t.Fatal("full, though no connection waits")
		}
		c, err := net.Dial("tcp", s.Listeners[0].Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sampled := 0
		r.untilLoop("the line, or enough samples without it", func(m *Master) bool {
			sampled++
			return m.connectionsWait() && (r.log.FilterMessage("pool full").Len() > 0 || !want && sampled > 100)
		})
	}
}

// No timer but that of the owner loop is left, so these are all wake-ups of an idle
// master.
func TestACalmServerIsSampledRarelyUntilAConnectionComes(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
	r.serves(2)
	told := func(m *Master) (calm int) {
		for _, w := range m.workers {
			w.memory.Beat.Store(ipc.Now()) // a fake worker has no heartbeat
			calm += int(w.memory.Calm.Load())
		}
		return calm
	}
	r.untilLoop("the workers to know that samples are rare", func(m *Master) bool { return told(m) == 2 })
	r.untilLoop("the report of a connection", func(m *Master) bool {
		for _, w := range m.workers {
			if rare := m.machine.SampleAfter(); rare != 200*time.Millisecond {
				t.Errorf("the next sample comes after %v, want ten times as much as usual", rare)
			}
			w.received(m, &ipc.Report{State: ipc.StateActive})
			if n := told(m); n != 0 {
				t.Errorf("%d workers will report another connection", n)
			}
			break
		}
		return true
	})
	r.untilLoop("frequent samples", func(m *Master) bool { return time.Until(m.sampleAt) <= 20*time.Millisecond })
}

func TestProcessUsageIsReadFromTheKernel(t *testing.T) {
	p := readProcess(os.Getpid())
	if p.rss < 1<<20 || p.rss > 1<<40 || p.started == 0 || p.suspended {
		t.Errorf("this process: %+v", p)
	}
	if p := readProcess(-1); p != (process{}) {
		t.Errorf("no process: %+v", p)
	}
	w := &worker{}
	w.setProcess(process{rss: 1, cpu: 5, started: 7})
	w.setProcess(process{rss: 2, cpu: 4, started: 7})
	if w.process.rss != 2 || w.process.cpu != 5 {
		t.Errorf("the worker has %+v, want the newer figures and no time that goes back", w.process)
	}
	w.setProcess(process{rss: 3, started: 8}) // another process with the same pid
	w.setProcess(process{})                   // gone
	if w.process.rss != 2 {
		t.Errorf("the worker has %+v", w.process)
	}
}
