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
