package livefork

import "runtime"

// What warm makes ready.
const (
	warmStack      = 16 << 10 // bytes of the caller's stack
	warmGoroutines = 4
	warmObjects    = 2 << 10 // bytes of the largest object
)

// sink keeps objects on the heap.
var sink any //nolint:unused // it is written only

// warm leaves the runtime as it is after some work: with free places for new objects, ended
// goroutines to use again and a stack that is large enough. Otherwise each child would make
// all that anew after a collection, and each page that it is the first to write costs it
// microseconds.
func warm() {
	for range warmGoroutines { // all at once, or they would be the same; their stacks must not grow
		go func() {}()
	}
	runtime.Gosched()
	for size := 8; size <= warmObjects; size += max(8, size/8&^7) {
		sink = make([]byte, size)
		sink = make([]*byte, size/8)
	}
	sink = nil
	growStack()
}

//go:noinline
func growStack() (sum byte) {
	var frame [warmStack]byte
	for i := range frame {
		sum += frame[i]
	}
	return sum
}
