package ipc

import (
	"strings"
	"testing"
)

func TestATextIsReadAsItWasWritten(t *testing.T) {
	var text Text
	long := strings.Repeat("a request ", 100)
	for _, c := range []struct{ wrote, want string }{
		{"", ""}, {"GET /", "GET /"}, {"é", "é"}, {long, long[:MaxDoing]}, {"short again", "short again"}, {"cut \xc3", "cut \uFFFD"},
	} {
		text.Store(c.wrote)
		if got := text.Load(); got != c.want {
			t.Errorf("wrote %q, read %q", c.wrote, got)
		}
	}
}

// Each text consists of one letter, so a mixture of two shows.
func TestATextIsNeverReadHalf(t *testing.T) {
	s, _ := memory(t)
	texts := []string{strings.Repeat("a", MaxDoing), strings.Repeat("b", MaxDoing/2), "c"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300_000 {
			s.Doing.Store(texts[i%len(texts)])
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if got := s.Doing.Load(); got != "" && got != texts[0] && got != texts[1] && got != texts[2] {
			t.Fatalf("read %q", got)
		}
	}
	if got, want := s.Doing.Load(), texts[(300_000-1)%len(texts)]; got != want {
		t.Errorf("the last text is %q, want %q", got, want)
	}
}

func TestATextOfABrokenWriterIsBounded(t *testing.T) {
	var text Text
	text.length.Store(^uint32(0))
	if got := text.Load(); len(got) != MaxDoing {
		t.Errorf("read %d bytes, want %d", len(got), MaxDoing)
	}
	text.version.Store(1) // it died while it wrote
	if got := text.Load(); got != "" {
		t.Errorf("read %q from a text that is half written", got)
	}
}
