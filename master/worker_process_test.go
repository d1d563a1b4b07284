package master

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTheKernelSaysWhatAProcessUses(t *testing.T) {
	p := readProcess(os.Getpid())
	if p.rss < 1<<20 || p.rss > 1<<40 || p.started == 0 || p.suspended {
		t.Errorf("this process: %+v", p)
	}
	if p := readProcess(-1); p != (process{}) {
		t.Errorf("no process: %+v", p)
	}
	w := &worker{}
	w.see(process{rss: 1, cpu: 5, started: 7})
	w.see(process{rss: 2, cpu: 4, started: 7})
	if w.process.rss != 2 || w.process.cpu != 5 {
		t.Errorf("the worker has %+v, want the newer figures and no time that goes back", w.process)
	}
	w.see(process{rss: 3, started: 8}) // another process of the same number
	w.see(process{})                   // gone
	if w.process.rss != 2 {
		t.Errorf("the worker has %+v", w.process)
	}
}

// sampled counts the samples that the policy has been told of.
func (r *running) sampled() int {
	n := 0
	for _, e := range r.log.FilterMessage("step").All() {
		if event, _ := e.ContextMap()["event"].(string); strings.HasPrefix(event, "sampled") {
			n++
		}
	}
	return n
}

func TestTheOwnerLoopGoesOnWhileProcDoesNotAnswer(t *testing.T) {
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

func TestRequestsForTheStatusAtTheSameTimeShareAnAnswer(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	const many = 64
	held, release := make(chan struct{}), make(chan struct{})
	go func() { _ = r.master.do(context.Background(), func(*Master) { close(held); <-release }) }()
	<-held
	var asked, answered sync.WaitGroup
	uptimes := make([]float64, many)
	for i := range uptimes {
		asked.Add(1)
		answered.Go(func() {
			asked.Done()
			s, err := r.master.Status(context.Background())
			if err != nil {
				t.Error(err)
			}
			uptimes[i] = s.UptimeS
		})
	}
	asked.Wait()
	close(release)
	answered.Wait()
	slices.Sort(uptimes)
	if n := len(slices.Compact(uptimes)); n > many/2 {
		t.Errorf("%d answers were made for %d requests", n, many)
	}
}

func TestStreamsShareASnapshot(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	seen := map[float64]int{}
	streams := []*bufio.Scanner{r.follow(""), r.follow(""), r.follow("")}
	for _, lines := range streams {
		for range 3 { // the first is the stream's own
			reads(t, lines, "event: status")
			var s Status
			if err := json.Unmarshal([]byte(strings.TrimPrefix(reads(t, lines, "data: "), "data: ")), &s); err != nil {
				t.Fatal(err)
			}
			seen[s.UptimeS]++
		}
	}
	shared := 0
	for _, n := range seen {
		shared = max(shared, n)
	}
	if shared < 2 {
		t.Errorf("no two streams were sent the same: %v", seen)
	}
}

// A person who asks right after the start sees figures, and not zeros.
func TestTheStatusHasTheFiguresOfAWorkerThatIsReady(t *testing.T) {
	g := generationOf(1, "", "tcp://127.0.0.1:0")
	g.Policy.SampleInterval = time.Hour
	r := start(t, Options{Generation: g})
	r.serves(1)
	r.until("the worker's memory", func(s Status) bool { return s.Workers[0].RSSBytes > 0 })
}
