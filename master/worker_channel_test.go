package master

import (
	"context"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// onLogLevel are the faults of fake workers that get a log level.
var onLogLevel = map[string]func(*ipc.Channel, *ipc.Slot){
	"drained": func(ch *ipc.Channel, slot *ipc.Slot) {
		for range messageBurst + 20 {
			_ = ch.Send(&ipc.Drained{Cut: 1})
		}
	},
	"unread": func(*ipc.Channel, *ipc.Slot) { select {} },
	"linger": func(ch *ipc.Channel, slot *ipc.Slot) {
		for range messageBurst + 8 { // after so many messages the master reads slowly
			_ = ch.Send(&ipc.Report{})
		}
		fd := lingering(os.Getenv("PREFORK_TEST_SINK"))
		fds := append(slices.Repeat([]int{0}, ipc.MaxFiles), fd)
		if unix.Sendmsg(ipc.ChannelFD, []byte(`{"type":"report"}`), unix.UnixRights(fds...), nil, 0) == nil {
			_ = unix.Close(fd)
			slot.Handled.Add(1)
		}
	},
}

// lingering returns a socket whose close blocks for ten minutes unless the peer
// reads or closes.
func lingering(address string) int {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return -1
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return -1
	}
	_ = c.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		return -1
	}
	_ = f.Close()
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = unix.SendmsgN(fd, block, nil, nil, unix.MSG_DONTWAIT)
	}
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 600})
	return fd
}

// allowDescriptors makes the master's ends of all channels accept descriptors, as
// before Linux 6.16.
func allowDescriptors(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_SEQPACKET {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 1)
		}
	}
}

// A message has nine descriptors. The kernel closes the last one in the master's
// recvmsg, and that close blocks. So Receive blocks, and Channel.Close waits for
// Receive.
func TestDescriptorsFromAWorkerDoNotBlockTheOwnerLoop(t *testing.T) {
	sink, err := net.Listen("tcp", "127.0.0.1:0") // its connections are never read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	t.Setenv("PREFORK_TEST_SINK", sink.Addr().String())
	r := start(t, Options{Generation: generationOf(1, "linger", "tcp://127.0.0.1:0")})
	pid := r.serves(1).Workers[0].PID
	allowDescriptors(t)
	r.post("log-level?level=debug")
	r.until("the worker to have sent its descriptors", func(s Status) bool { return s.Totals.Handled >= 1 })
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until("a replacement", func(s Status) bool { return len(s.Workers) == 1 && s.Workers[0].PID != pid })
	if len(r.log.FilterMessage("worker sends too many messages").All()) != 1 {
		t.Errorf("the flood is not in the log once:\n%s", r.logText())
	}
	_ = sink.Close() // unblocks the close
}

func TestRepeatedDrainedMessagesAreLoggedOnce(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "drained", "tcp://127.0.0.1:0")})
	pid := r.serves(1).Workers[0].PID
	r.post("log-level?level=debug")
	r.until("a replacement", func(s Status) bool { return len(s.Workers) == 1 && s.Workers[0].PID != pid })
	if n := len(r.log.FilterMessage("connections cut at the drain deadline").All()); n != 1 {
		t.Errorf("%d lines about what was cut, want 1", n)
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Unix(1, 0)
	p := rateLimit{burst: 3, interval: time.Second}
	for i := range 3 {
		if wait := p.next(now); wait != 0 {
			t.Errorf("%d waits %s", i, wait)
		}
	}
	for want := time.Second; want <= 3*time.Second; want += time.Second {
		if wait := p.next(now); wait != want {
			t.Errorf("waits %s, want %s", wait, want)
		}
	}
	now = now.Add(3 * time.Second)
	if wait := p.next(now); wait != time.Second {
		t.Errorf("waits %s after three seconds, want 1s", wait)
	}
	if wait := p.next(now.Add(time.Hour)); wait != 0 {
		t.Errorf("waits %s after an hour", wait)
	}
}

func TestUnixListenersRefuseDescriptors(t *testing.T) {
	probe, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(probe)
	if _, err := unix.GetsockoptInt(probe, unix.SOL_SOCKET, unix.SO_PASSRIGHTS); err != nil {
		t.Skipf("the kernel cannot refuse descriptors, Linux 6.16 can: %v", err)
	}
	l := bindOne(t, "unix:@"+t.Name()+strconv.Itoa(os.Getpid()))
	c, err := (&net.Dialer{}).DialContext(context.Background(), "unix", l.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _, err = c.(*net.UnixConn).WriteMsgUnix([]byte("x"), unix.UnixRights(0), nil)
	if err == nil {
		t.Error("a client can send descriptors")
	}
	// A worker shares the socket and may have allowed descriptors.
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{wasOpen}, nil} {
		if wrong, err := l.repair(nil); err != nil || !slices.Equal(wrong, want) {
			t.Errorf("repair found %q, %v; want %q", wrong, err, want)
		}
	}
}

// The worker's reason is part of the error of Run, which a program prints.
func TestTheErrorOfAWorkerIsPrintable(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "owned", "tcp://127.0.0.1:0")})
	err := r.wait()
	if err == nil || !strings.Contains(err.Error(), "owned") {
		t.Fatalf("Run = %v, want the worker's reason", err)
	}
	if text := err.Error(); strings.ContainsAny(text, "\x1b\x07") || len(text) > 2*longestReason {
		t.Errorf("%d bytes: %.40q", len(text), text)
	}
}
