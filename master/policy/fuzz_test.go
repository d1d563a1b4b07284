package policy

import (
	"testing"
	"time"
)

// FuzzStep reads events from bytes. If the first byte is even, events that break
// the contract with the master are skipped, and all promises are checked.
// Otherwise they are played too, and only the basics are checked.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 2, 1, 1, 2, 2, 2, 14, 0, 15, 1})
	f.Add([]byte{0, 2, 0, 1, 1, 2, 1, 5, 1, 18, 0, 8, 1})
	f.Add([]byte{1, 1, 0, 8, 1, 4, 2, 1, 1, 17, 0, 17, 0, 19, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 4096 {
			return
		}
		c := newChecker()
		c.wild = data[0]%2 == 1
		var now time.Duration
		step := func(ev Event) {
			if !c.wild && c.breaksContract(ev) {
				return
			}
			if _, err := c.step(now, ev); err != nil {
				t.Fatalf("%v\n%s", err, c.report())
			}
		}
		step(Boot{Config: fuzzConfig(data[1])})
		for data = data[2:]; len(data) >= 2; data = data[2:] {
			now += time.Duration(data[0]>>5) * 10 * time.Millisecond
			if data[0]&31 == 31 {
				if at, ok := c.m.Wake(); ok {
					now = at
				}
			}
			step(fuzzEvent(c, data[0]&31, data[1]))
		}
	})
}

func fuzzConfig(b byte) Config {
	c := Config{Min: 1 + int(b>>2&3), Seed: uint64(b)}
	switch b & 3 {
	case 1:
		c.Max = c.Min + 3
	case 2:
		c.OneShot, c.MinSpare, c.Max = true, c.Min, c.Min+3
	case 3:
		c.Slots, c.LameDuck, c.RecycleConnections = c.Min+1, time.Second, 10
	}
	if b&16 != 0 {
		c.Probation, c.MaxOldGenerations = -1, 1
	}
	return c
}

// fuzzEvent returns the event for two bytes. Its worker is one of the last
// sixteen.
func fuzzEvent(c *checker, kind, arg byte) Event {
	id := c.lastID - ID(arg&15)
	high := arg >> 4
	switch kind {
	case 0, 20:
		return Spawned{id, 1}
	case 1:
		return SpawnFailed{id, "no"}
	case 2, 21:
		return Ready{id}
	case 3:
		return Failed{id, 1 + 77*int(high&1), "no"}
	case 4, 22:
		return Busy{ID: id}
	case 5, 23:
		return Drained{id}
	case 6:
		return Unfit{id, "no"}
	case 7, 24:
		return Exited{ID: id, Code: int(high & 1), Signal: int(high >> 1 & 1)}
	case 8, 25:
		return Sampled{[]Sample{{ID: id, Active: int(high & 1), Served: uint64(high), Worked: high&8 != 0, Silent: time.Duration(high) * 3 * time.Second, Full: high&2 != 0}}, high&4 != 0}
	case 9, 26:
		return Reload{Request: c.request(high&1 == 1)}
	case 10, 27:
		return Loaded{Config: fuzzConfig(arg)}
	case 11:
		return Loaded{Err: "no"}
	case 12:
		return Scale{By: int(int8(arg)), Request: c.request(arg&2 != 0)}
	case 13:
		return Scale{To: int(int8(arg))}
	case 14:
		return Recycle{ID: id, Now: high&1 == 1, Request: c.request(arg&2 != 0)}
	case 31:
		return Cancel{Request: c.asks}
	case 15:
		return Drain{Request: c.request(high&1 == 1)}
	case 16:
		return Interrupt{}
	case 17:
		return Stop{Request: c.request(high&1 == 1)}
	case 19:
		return Leaving{id}
	case 28:
		return Terminated{id}
	case 29, 30:
		return Listening{Generation: c.highest - int(arg&1), Err: map[bool]string{true: "no"}[kind == 30 && high&1 == 1]}
	case 18:
		return Boot{Config: fuzzConfig(arg)}
	}
	return Tick{}
}
