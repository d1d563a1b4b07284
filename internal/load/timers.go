package load

// timer wakes a connection. One that the connection has outlived is known by
// its age.
type timer struct {
	at   int64
	conn int32
	age  int32
}

// timers is a heap, the earliest on top.
type timers []timer

func (h *timers) add(t timer) {
	*h = append(*h, t)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].at <= s[i].at {
			return
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *timers) take() timer {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(s) && s[child].at < s[least].at {
				least = child
			}
		}
		if least == i {
			return top
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
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
