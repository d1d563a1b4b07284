package load

import (
	"strings"
	"testing"
	"time"
)

// While the generator is frozen, as in a paused container, the server answers.
func TestAFreezeOfTheGeneratorDoesNotTimeOut(t *testing.T) {
	const timeout, connect = int64(5 * time.Second), int64(2 * time.Second)
	sent := int64(time.Second)
	waits := func(s state) *conn {
		k := &conn{state: s, dialed: sent, flying: ring[exchange]{items: make([]exchange, 1)}}
		if s == ready {
			k.begin(sent, sent, 1)
		}
		return k
	}
	for name, test := range map[string]struct {
		k     *conn
		limit int64
	}{
		"connect": {waits(connecting), connect}, "full queue": {waits(busy), connect},
		"greeting": {waits(greeting), timeout}, "answer": {waits(ready), timeout},
	} {
		l := &loop{turned: sent}
		l.noteFreeze(sent + freeze - 1) // a busy machine
		if !test.k.expired(sent+test.limit+1, l.frozenUntil, timeout, connect) {
			t.Errorf("%s: waits for ever", name)
		}
		thaw := sent + freeze - 1 + int64(time.Hour)
		l.noteFreeze(thaw)
		if test.k.expired(thaw+test.limit, l.frozenUntil, timeout, connect) {
			t.Errorf("%s: timed out for a freeze of the generator", name)
		}
		if !test.k.expired(thaw+test.limit+1, l.frozenUntil, timeout, connect) {
			t.Errorf("%s: waits for ever after a freeze", name)
		}
		r := &Run{loops: []*loop{l}}
		if w := r.generator(1, &Result{}).Warnings; len(w) != 1 || !strings.Contains(w[0], "did not run for 1h") {
			t.Errorf("the result warns %q", w)
		}
	}
}
