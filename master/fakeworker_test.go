package master

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// fault is the configuration of a fake worker: what it does wrong.
type fault struct {
	Do string `json:"do"`
	At string `json:"at,omitempty"` // address at which "take" listens

	Zygote string `json:"zygote,omitempty"` // what a zygote does wrong
	Once   string `json:"once,omitempty"`   // only the first one, which creates this file
	PID    int    `json:"pid,omitempty"`    // that it names as a worker's
}

// TestMain runs a fake worker in a process that the master starts. The master
// executes its own image, which is this test binary.
func TestMain(m *testing.M) {
	if os.Getenv(ipc.WorkerVariable) == "1" {
		os.Exit(fakeWorker())
	}
	os.Exit(m.Run())
}

// fakeWorker speaks the protocol of a worker but serves nothing. The tests do
// not import package worker.
func fakeWorker() int {
	signal.Ignore(unix.SIGINT, unix.SIGHUP)
	ch, err := ipc.NewChannel(ipc.ChannelFD)
	if err != nil {
		return 1
	}
	msg, _, err := ch.Receive()
	hello, ok := msg.(*ipc.Hello)
	if err != nil || !ok {
		return 1
	}
	slot, err := ipc.OpenSlot(ipc.SlotFD)
	if err != nil {
		return 1
	}
	slot.Beat.Store(ipc.Now())
	_ = debug.SetCrashOutput(os.NewFile(ipc.CrashFD, "crash"), debug.CrashOptions{})
	var f fault
	if len(hello.Config) > 0 {
		if err := json.Unmarshal(hello.Config, &f); err != nil {
			return 1
		}
	}
	if kind := os.Getenv(ipc.ZygoteVariable); kind != "" {
		return fakeZygote(ch, hello, f, kind)
	}
	build := hello.Build
	switch f.Do {
	case "fail":
		_ = ch.Send(&ipc.Hello{Protocol: ipc.ProtocolVersion, Build: build})
		_ = ch.Send(&ipc.Failed{Code: 78, Message: "no such colour"})
		return 78
	case "owned":
		_ = ch.Send(&ipc.Hello{Protocol: ipc.ProtocolVersion, Build: build})
		_ = ch.Send(&ipc.Failed{Code: 78, Message: "\x1b]0;owned\x07" + strings.Repeat("A", 60_000)})
		return 78
	case "stranger":
		build = "another"
	case "silent":
		_, _, _ = ch.Receive()
		return 0
	case "figures":
		slot.LoopLag.Store(int64(3 * time.Millisecond))
		slot.HeapBytes.Store(5 << 20)
		slot.Goroutines.Store(7)
		slot.GOMAXPROCS.Store(3)
		slot.Doing.Store("192.0.2.1:80 GET /")
		slot.DoingSince.Store(ipc.Now() - int64(time.Minute))
	case "full":
		slot.State.Store(uint32(ipc.Paused))
	case "lie":
		if hello.Slot == 0 {
			if err := lie(slot, hello.Slots); err != nil {
				return 1
			}
		}
	case "deaf": // ignores messages until the master has exited
		_, _ = unix.Poll([]unix.PollFd{{Fd: ipc.ChannelFD}}, -1)
		return 0
	case "take":
		taken, err := net.Listen("tcp", f.At)
		if err != nil {
			return 1
		}
		defer taken.Close()
	case "panic":
		panic("deliberate")
	case "environment":
		for _, kv := range os.Environ() {
			if strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "LISTEN_") {
				return 3
			}
		}
	case "blocking":
		for i := range hello.Listeners {
			flags, err := unix.FcntlInt(uintptr(ipc.ListenerFD+i), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK == 0 {
				return 4
			}
		}
	}
	if f.Do == "noHello" {
		_ = ch.Send(&ipc.Ready{})
	}
	if ch.Send(&ipc.Hello{Protocol: ipc.ProtocolVersion, Build: build, PID: os.Getpid()}) != nil {
		return 1
	}
	if f.Do == "sendsOrder" {
		_ = ch.Send(&ipc.Stop{})
	}
	if f.Do == "corrupt" {
		_ = unix.Send(ipc.ChannelFD, []byte("not a message"), 0)
	}
	if ch.Send(&ipc.Ready{}) != nil {
		return 1
	}
	return followOrders(ch, slot, f)
}

// lie writes false values into all memory that the worker can write.
func lie(slot *ipc.Slot, slots int) error {
	board, err := ipc.OpenScoreboard(ipc.ScoreboardFD, slots)
	if err != nil {
		return err
	}
	for i := range slots {
		p := board.Peer(i)
		p.Beat.Store(1)
		p.State.Store(^uint32(0))
		p.Active.Store(-1)
		p.Accepted.Store(^uint64(9))
	}
	for _, c := range []*atomic.Uint64{&slot.Accepted, &slot.Handled, &slot.Failed, &slot.Rejected, &slot.BytesIn, &slot.BytesOut, &slot.Latency.SumNS, &slot.Age.SumNS} {
		c.Store(^uint64(9))
	}
	for i := range ipc.Buckets {
		slot.Latency.Counts[i].Store(^uint64(9))
		slot.Age.Counts[i].Store(^uint64(9))
	}
	slot.Active.Store(1<<31 - 1)
	return nil
}

// followOrders follows the orders of the master until it has to exit.
func followOrders(ch *ipc.Channel, slot *ipc.Slot, f fault) int {
	for {
		msg, fds, err := ch.Receive()
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			return 1
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		slot.Beat.Store(ipc.Now())
		switch msg := msg.(type) {
		case *ipc.Resume:
			if f.Do == "idle" {
				_ = ch.Send(&ipc.Report{State: ipc.StateBusy})
				return 0
			}
			slot.Accepted.Add(1)
			slot.Latency.Observe(time.Millisecond)                 // tells a test that it got Resume
			if f.Do == "exitCleanly" && slot.Accepted.Add(2) > 0 { // like os.Exit(0) in a handler
				slot.Active.Store(3)
				return 0
			}
		case *ipc.LogLevel:
			if misbehave := onLogLevel[f.Do]; misbehave != nil {
				misbehave(ch, slot)
			}
			slot.Handled.Add(1)
			if f.Do != "careless" && (f.Do != "forgetful" || slot.Handled.Load() > 3) {
				_ = ch.Send(&ipc.Ack{Order: msg.Order})
			}
		case *ipc.Reopen:
			_ = ch.Send(&ipc.Ack{Order: msg.Order})
		case *ipc.AccessLog:
			_ = ch.Send(&ipc.Ack{Order: msg.Order})
		case *ipc.Drain:
			if !msg.Hold {
				_ = ch.Send(&ipc.Drained{})
				return 0
			}
		case *ipc.Stop:
			if f.Do == "cut" {
				_ = ch.Send(&ipc.Drained{Cut: 2})
			}
			return 0
		}
	}
}
