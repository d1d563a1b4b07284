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

// ring is a queue of at most len(items).
type ring[T any] struct {
	items       []T
	first, size int
}

func (r *ring[T]) head() *T { return &r.items[r.first] }

func (r *ring[T]) push(item T) {
	at := r.first + r.size
	if at >= len(r.items) {
		at -= len(r.items)
	}
	r.items[at] = item
	r.size++
}

func (r *ring[T]) pop() T {
	item := r.items[r.first]
	if r.first++; r.first == len(r.items) {
		r.first = 0
	}
	r.size--
	return item
}
