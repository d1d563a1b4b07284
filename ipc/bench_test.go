package ipc

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// BenchmarkSendReceive measures one message through the codec and the kernel.
func BenchmarkSendReceive(b *testing.B) {
	x, y := pair(b)
	m := &Report{State: StateBusy}
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

// BenchmarkCount measures the counters of one connection.
func BenchmarkCount(b *testing.B) {
	s, _ := memory(b)
	p := board(b, 2).Peer(1)
	for b.Loop() {
		p.Accepted.Store(s.Accepted.Add(1))
		p.Active.Store(s.Active.Add(1))
		p.Active.Store(s.Active.Add(-1))
		s.Handled.Add(1)
		s.Latency.Observe(time.Millisecond)
		now := Now()
		s.Beat.Store(now)
		p.Beat.Store(now)
	}
}

// BenchmarkNewSlot measures the creation of a worker's memory.
func BenchmarkNewSlot(b *testing.B) {
	for b.Loop() {
		s, fd, err := NewSlot()
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.Close(fd); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
