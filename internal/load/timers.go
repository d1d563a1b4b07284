package load

import "container/heap"

// timer wakes a connection, unless the connection has another age by then.
type timer struct {
	at   int64
	conn int32
	age  int32
}

// timers is a heap, the earliest on top. There are few: of pauses and of retries.
type timers []timer

func (h *timers) add(t timer) { heap.Push(h, t) }
func (h *timers) take() timer { return heap.Pop(h).(timer) }

// Len implements heap.Interface, as do the methods below.
func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timers) Push(t any)        { *h = append(*h, t.(timer)) }

func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	*h = (*h)[:last]
	return t
}

// ring is a queue of connections, each of which is in it once at most.
type ring struct {
	conns       []int32
	first, size int
}

func newRing(n int) ring { return ring{conns: make([]int32, n)} }

func (r *ring) push(i int32) {
	at := r.first + r.size
	if at >= len(r.conns) {
		at -= len(r.conns)
	}
	r.conns[at] = i
	r.size++
}

func (r *ring) pop() int32 {
	i := r.conns[r.first]
	if r.first++; r.first == len(r.conns) {
		r.first = 0
	}
	r.size--
	return i
}
