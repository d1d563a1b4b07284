package master

import (
	"context"
	"slices"
	"sync"
	"testing"
)

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

// A worker writes its figures into its memory and sends no message.
func TestTheStatusHasTheFiguresOfTheWorkersMemory(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "figures", "tcp://127.0.0.1:0")})
	w := r.serves(1).Workers[0]
	if w.LoopLagS != 0.003 || w.HeapBytes != 5<<20 || w.Goroutines != 7 || w.GOMAXPROCS != 3 || w.Doing != "192.0.2.1:80 GET /" || w.DoingS < 60 {
		t.Errorf("the status has %+v", w)
	}
	r.untilLoop("the end of the request", func(m *Master) bool {
		for _, w := range m.workers {
			w.memory.DoingSince.Store(0)
		}
		return true
	})
	if w := r.serves(1).Workers[0]; w.Doing != "" || w.DoingS != 0 {
		t.Errorf("after the request the worker is doing %q for %v s", w.Doing, w.DoingS)
	}
}
