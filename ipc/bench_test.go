package ipc

import (
	"testing"
	"time"
)

func BenchmarkEncode(b *testing.B) {
	for _, m := range []Message{examples[0], examples[3]} {
		b.Run(string(m.Type()), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Encode(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, m := range []Message{examples[0], examples[3]} {
		b.Run(string(m.Type()), func(b *testing.B) {
			data, err := Encode(m)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSendReceive is one message through the kernel, the codec included.
func BenchmarkSendReceive(b *testing.B) {
	x, y := pair(b)
	m := &Report{HeapBytes: 1 << 20, Goroutines: 12}
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Send(m); err != nil {
			b.Fatal(err)
		}
		if _, _, err := y.Receive(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCount is what the scoreboard adds to a connection.
func BenchmarkCount(b *testing.B) {
	s := board(b, 2).Slot(1)
	for b.Loop() {
		s.Accepted.Add(1)
		s.Active.Add(1)
		s.Active.Add(-1)
		s.Handled.Add(1)
		s.Latency.Observe(time.Millisecond)
		s.Beat.Store(Now())
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
