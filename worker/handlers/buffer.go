package handlers

import "sync"

// A connection that sends little owns little: it waits with a small buffer,
// and takes a large one only while its reads fill the small one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// buffer is a read buffer that fits itself to its connection's traffic. The
// zero value is small.
type buffer struct {
	small *[smallBuffer]byte
	large *[largeBuffer]byte
}

// next returns the buffer for a read, given that the last one brought n bytes.
// What an earlier call returned is no longer the caller's.
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

// release gives the memory back. The buffer is as new afterwards.
func (b *buffer) release() {
	if b.small != nil {
		smallBuffers.Put(b.small)
	}
	if b.large != nil {
		largeBuffers.Put(b.large)
	}
	*b = buffer{}
}
