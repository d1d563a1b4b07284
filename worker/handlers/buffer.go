package handlers

import "sync"

// A connection waits with a small buffer, and uses a large one while its reads fill
// the small one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// buffer is a read buffer whose size follows the traffic.
type buffer struct {
	small *[smallBuffer]byte
	large *[largeBuffer]byte
}

// next returns the buffer for the next read, if the last one read n bytes. The buffer
// of an earlier call must not be used any more.
func (b *buffer) next(n int) []byte {
	switch {
	case b.large != nil && n > smallBuffer/2, b.large == nil && n == smallBuffer:
		if b.large == nil {
			b.release()
			b.large = largeBuffers.Get().(*[largeBuffer]byte)
		}
		return b.large[:]
	case b.small == nil:
		b.release()
		b.small = smallBuffers.Get().(*[smallBuffer]byte)
	}
	return b.small[:]
}

// release returns the memory to the pools.
func (b *buffer) release() {
	if b.small != nil {
		smallBuffers.Put(b.small)
	}
	if b.large != nil {
		largeBuffers.Put(b.large)
	}
	*b = buffer{}
}
