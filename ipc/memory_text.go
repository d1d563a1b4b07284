package ipc

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
)

const textSize = 8 + MaxDoing

// Text is a short text that one goroutine writes and another process reads. A reader
// never waits: while the text is written it gets none.
type Text struct {
	version atomic.Uint32 // odd while the text is written
	length  atomic.Uint32 // in bytes
	words   [MaxDoing / 8]atomic.Uint64
}

// Store writes s, of which it keeps the first MaxDoing bytes.
func (t *Text) Store(s string) {
	var bytes [MaxDoing]byte
	n := copy(bytes[:], s)
	t.version.Add(1)
	t.length.Store(uint32(n))
	for i := 0; i < n; i += 8 {
		t.words[i/8].Store(binary.NativeEndian.Uint64(bytes[i:]))
	}
	t.version.Add(1)
}

// Load returns the text, as valid UTF-8 whatever the writer wrote. It is empty if the
// text was written meanwhile.
func (t *Text) Load() string {
	version := t.version.Load()
	var bytes [MaxDoing]byte
	n := min(int(t.length.Load()), MaxDoing)
	for i := 0; i < n; i += 8 {
		binary.NativeEndian.PutUint64(bytes[i:], t.words[i/8].Load())
	}
	if version%2 != 0 || t.version.Load() != version {
		return ""
	}
	return strings.ToValidUTF8(string(bytes[:n]), "\uFFFD")
}
