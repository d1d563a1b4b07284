package master

import (
	"testing"
	"time"
)

func TestTheTimerWakesAtTheLastTimeThatWasSet(t *testing.T) {
	timer, err := newWakeTimer(func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer timer.close()
	set := func(in time.Duration) time.Time {
		t.Helper()
		at := time.Now().Add(in)
		timer.set(at)
		return at
	}
	wakes := func(at time.Time) {
		t.Helper()
		select {
		case <-timer.C:
			timer.at = time.Time{}
		case <-time.After(patience):
			t.Fatal("did not wake")
		}
		if early := time.Until(at); early > 0 {
			t.Errorf("woke %v early", early)
		}
	}
	set(time.Hour)
	wakes(set(time.Millisecond))
	wakes(set(-time.Hour)) // at once
	set(time.Millisecond)
	wakes(set(2 * time.Millisecond))
	at := set(time.Millisecond)
	wakes(at)
	timer.set(at) // the same time again
	wakes(at)
}

// The timer has fired when the loop begins to do what is due. It must fire again if
// the loop does not come back from that.
func TestTheTimerWatchesAWakeUpThatBlocks(t *testing.T) {
	looked := make(chan struct{}, 10)
	timer, err := newWakeTimer(func() { looked <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer timer.close()
	m := &Master{timer: timer}
	timer.set(time.Now())
	<-looked
	<-timer.C
	m.clock.due = time.Now().Add(time.Hour)
	m.work() // and then wake, which blocks
	if m.clock.due.After(time.Now()) {
		t.Error("the loop seems to sleep while it works")
	}
	select {
	case <-looked:
	case <-time.After(patience):
		t.Error("nobody looks at the loop")
	}
}
