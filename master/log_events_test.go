package master

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestEventsAreLogLines(t *testing.T) {
	l := newEventLog()
	log := l.tee(zap.NewNop()).With(zap.String("role", "master"))
	log.Debug("not an event")
	log.Warn("worker slow", zap.Int("slot", 3), zap.Duration("duration", 1500*time.Millisecond), zap.Error(errors.New("late")))
	es, _ := l.after(0)
	if len(es) != 1 {
		t.Fatalf("%d events, want 1", len(es))
	}
	got, err := json.Marshal(es[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `"level":"warn","message":"worker slow","fields":{"duration_s":1.5,"error":"late","role":"master","slot":3}}`
	if !strings.HasPrefix(string(got), `{"seq":1,"at":"`) || !strings.HasSuffix(string(got), want) {
		t.Errorf("the event is %s, want %s", got, want)
	}
}

func TestTheLastEventsAreKept(t *testing.T) {
	l := newEventLog()
	log := l.tee(zap.NewNop())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range maxEvents {
				log.Info("tick")
			}
		})
	}
	wg.Wait()
	for after, want := range map[uint64]int{0: maxEvents, 4*maxEvents - 3: 3, 4 * maxEvents: 0, 1 << 40: 0} {
		es, _ := l.after(after)
		if len(es) != want {
			t.Errorf("after %d: %d events, want %d", after, len(es), want)
		}
		for i, e := range es {
			if e.Seq != uint64(4*maxEvents-len(es)+i+1) {
				t.Fatalf("after %d: event %d has the number %d", after, i, e.Seq)
			}
		}
	}
}
