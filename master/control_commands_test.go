package master

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"prefork/master/policy"
)

// A loader may ignore its context.
func TestALoaderThatDoesNotReturnFailsOnlyItsReload(t *testing.T) {
	port := bindOne(t, "tcp://127.0.0.1:0")
	address := port.address
	port.close()
	first, release := true, make(chan struct{})
	o := Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")}
	o.Generation.Policy.StartTimeout = 2 * time.Second // also for the worker that serves, which is a real one
	o.Load = func(context.Context) (Generation, error) {
		if first { // only one runs at a time
			<-release
			first = false
			return generationOf(1, "", "tcp://127.0.0.1:0", "tcp://"+address), nil
		}
		return generationOf(1, "", "tcp://127.0.0.1:0"), nil
	}
	r := start(t, o)
	r.serves(1)
	for _, want := range []string{"not loaded within 2s", "earlier reload is still being loaded"} {
		if code, a := r.post("reload"); code != http.StatusConflict || !strings.Contains(a.Error, want) {
			t.Errorf("reload = %d %+v, want %q", code, a, want)
		}
	}
	if s := r.serves(1); s.Reloads.Failed != 2 || s.Generation != 1 {
		t.Errorf("after two reloads: %+v", s)
	}
	close(release)
	r.untilLoop("the loader to return", func(m *Master) bool { return m.loading == nil })
	if c, err := net.Dial("tcp", address); err == nil {
		t.Error("a configuration that arrived too late is used")
		_ = c.Close()
	}
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Errorf("reload after that = %d %+v", code, a)
	}
	if s := r.serves(1); s.Generation != 2 {
		t.Errorf("generation %d, want 2", s.Generation)
	}
}

func TestADrainCancelsTheLoad(t *testing.T) {
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load: func(ctx context.Context) (Generation, error) {
			<-ctx.Done()
			return Generation{}, ctx.Err()
		},
	})
	r.serves(1)
	reloaded := make(chan Answer, 1)
	go func() {
		_, a := r.post("reload")
		reloaded <- a
	}()
	r.until("the reload", func(s Status) bool { return s.State == "reloading" })
	if code, a := r.post("drain"); code != http.StatusOK {
		t.Errorf("drain = %d %+v", code, a)
	}
	if a := <-reloaded; a.OK || a.Error != "the server is draining" {
		t.Errorf("reload = %+v", a)
	}
}

// A held worker serves again after a rollback, so a request that waits for its
// exit might wait forever.
func TestRecycleRefusesAWorkerThatIsHeld(t *testing.T) {
	next := generationOf(1, "", "tcp://127.0.0.1:0")
	next.Policy.Probation = time.Hour
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load:       func(context.Context) (Generation, error) { return next, nil },
	})
	held := r.serves(1).Workers[0].Slot
	reloaded := make(chan error, 1)
	go func() {
		_, err := r.master.command(context.Background(), func(id policy.Request) (policy.Event, error) { return policy.Reload{Request: id}, nil })
		reloaded <- err
	}()
	r.until("probation", func(s Status) bool { return s.State == "probation" })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, now := range []bool{false, true} {
		a, err := r.master.command(ctx, func(id policy.Request) (policy.Event, error) { return r.master.recycle(strconv.Itoa(held), now, id) })
		if err != nil || a.OK || !strings.Contains(a.Error, "is held until") {
			t.Errorf("recycle of a held worker, now %v: %+v, %v", now, a, err)
		}
	}
	r.stop()
	if err := <-reloaded; err != nil && !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
}

func TestScaleAnswersWhenThePoolHasItsSize(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	for _, tt := range []struct {
		query string
		want  int
	}{{"3", 3}, {"%2B1", 4}, {"+1", 5}, {"-2", 3}, {"1", 1}} {
		code, a := r.post("scale?n=" + tt.query)
		if code != http.StatusOK || a.Target != strconv.Itoa(tt.want) {
			t.Errorf("scale %s = %d %+v, want %d", tt.query, code, a, tt.want)
		}
		r.serves(tt.want)
	}
	code, a := r.post("scale?n=-5")
	if code != http.StatusConflict || !strings.Contains(a.Error, "cannot scale by -5: the pool has 1, and may have 1 to ") {
		t.Errorf("scale below one worker = %d %+v, want an error with the valid range", code, a)
	}
	if code, a := r.post("scale?n=1000"); code != http.StatusConflict || !strings.Contains(a.Error, "cannot scale to 1000") || a.Target != "1" {
		t.Errorf("scale beyond the slots = %d %+v, want an error and no change", code, a)
	}
	r.serves(1)
	for _, query := range []string{"", "zero", "0"} {
		if code, a := r.post("scale?n=" + query); code != http.StatusConflict || a.Error == "" {
			t.Errorf("scale %q = %d %+v, want a refusal", query, code, a)
		}
	}
}

func TestRecycleReplacesTheWorker(t *testing.T) {
	for _, command := range []string{"recycle", "drain-worker"} {
		r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
		before := r.serves(2)
		if code, a := r.post(command + "?slot=" + strconv.Itoa(before.Workers[0].Slot)); code != http.StatusOK {
			t.Errorf("%s = %d %+v", command, code, a)
		}
		for _, w := range r.serves(2).Workers {
			if w.PID == before.Workers[0].PID {
				t.Errorf("%s: process %d is still there", command, w.PID)
			}
		}
		if code, a := r.post(command + "?slot=30"); code != http.StatusConflict || !strings.Contains(a.Error, "no worker in slot 30") {
			t.Errorf("%s of an empty slot = %d %+v", command, code, a)
		}
		if code, a := r.post(command); code != http.StatusConflict || !strings.Contains(a.Error, "is not a number") {
			t.Errorf("%s without a slot = %d %+v", command, code, a)
		}
	}
}
