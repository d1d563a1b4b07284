package ipc

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEveryMessageCrossesTheChannel(t *testing.T) {
	a, b := pair(t)
	for _, want := range examples {
		var fds []int
		for range descriptorsOf(want) {
			fds = append(fds, int(scratch(t).Fd()))
		}
		if err := a.Send(want, fds...); err != nil {
			t.Fatal(err)
		}
		got := receive(t, b)
		if got.err != nil || !reflect.DeepEqual(got.m, want) || len(got.fds) != len(fds) {
			t.Errorf("received %#v, %v, %v, want %#v", got.m, got.fds, got.err, want)
		}
		closeAll(got.fds)
	}
}

func TestBothEndsSendAtTheSameTime(t *testing.T) {
	a, b := pair(t)
	const each, senders = 25, 4
	var wg sync.WaitGroup
	for _, c := range []*Channel{a, b} {
		for range senders {
			wg.Go(func() {
				for range each {
					if err := c.Send(&Report{State: StateIdle}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	for range each * senders {
		expect[*Report](t, a)
		expect[*Report](t, b)
	}
	wg.Wait()
}

func TestAFullSizeMessageFits(t *testing.T) {
	a, b := pair(t)
	m := &LogLevel{}
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	m.Level = strings.Repeat("x", MaxMessage-len(data))
	if err := a.Send(m); err != nil {
		t.Fatal(err)
	}
	if got := expect[*LogLevel](t, b); got.Level != m.Level {
		t.Errorf("%d bytes arrived as %d", len(m.Level), len(got.Level))
	}
	m.Level += "x"
	if err := a.Send(m); !errors.Is(err, ErrTooLong) {
		t.Errorf("one byte more: %v, want ErrTooLong", err)
	}
}

func TestTheChannelStaysInStepAfterABadMessage(t *testing.T) {
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			a, b := pair(t)
			sendRaw(t, a, []byte(test.data))
			if err := a.Send(&Drained{Cut: 5}); err != nil {
				t.Fatal(err)
			}
			r := receive(t, b)
			var perr *ProtocolError
			if !errors.As(r.err, &perr) || r.m != nil {
				t.Fatalf("received %#v, %v, want a *ProtocolError", r.m, r.err)
			}
			if !strings.Contains(r.err.Error(), test.want) {
				t.Errorf("%q does not name %q", r.err, test.want)
			}
			if got := expect[*Drained](t, b); got.Cut != 5 {
				t.Errorf("the next message is %#v", got)
			}
		})
	}
}

func TestAnEmptyDatagramIsNotTheEnd(t *testing.T) {
	a, b := pair(t)
	sendRaw(t, a, nil)
	if err := a.Send(&Ready{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	var perr *ProtocolError
	if r := receive(t, b); !errors.As(r.err, &perr) {
		t.Fatalf("received %#v, %v, want a *ProtocolError", r.m, r.err)
	}
	expect[*Ready](t, b)
	expectEOF(t, b)
}

func TestAClosedPeerIsEOF(t *testing.T) {
	a, b := pair(t)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	expectEOF(t, b)
	expectEOF(t, b)
	for range 2 {
		if err := b.Send(&Stop{}); !errors.Is(err, unix.EPIPE) {
			t.Errorf("sending to a closed peer: %v, want EPIPE", err)
		}
	}
}

func TestAPeerThatOnlyStopsSendingIsEOFToo(t *testing.T) {
	a, b := pair(t)
	err := a.raw.Control(func(fd uintptr) {
		if err := unix.Shutdown(int(fd), unix.SHUT_WR); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	expectEOF(t, b)
}

func TestEOFWakesAReceiverThatWaits(t *testing.T) {
	a, b := pair(t)
	got := make(chan error, 1)
	go func() {
		_, _, err := b.Receive()
		got <- err
	}()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want io.EOF", err)
		}
	case <-time.After(patience):
		t.Error("waited for EOF in vain")
	}
}

// If a peer closes with unread messages, the kernel reports ECONNRESET before
// the messages that the peer has sent. They must not be lost.
func TestMessagesOfADeadPeerAreReadEvenIfItLeftSomeUnread(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(&LogLevel{Level: "debug"}); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(&Failed{Code: 78, Message: "why"}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := expect[*Failed](t, a); got.Message != "why" {
		t.Errorf("received %#v", got)
	}
	expectEOF(t, a)
}

func TestSendingToAPeerThatLeftMessagesUnreadIsEPIPE(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(&Resume{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(&Stop{}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v, want EPIPE", err)
	}
}

func TestSendNeverWaitsForAPeerThatDoesNotRead(t *testing.T) {
	a, b := pair(t)
	sent := 0
	stuck := make(chan error, 1)
	go func() {
		for {
			if err := a.Send(&Report{State: StateBusy}); err != nil {
				stuck <- err
				return
			}
			sent++
		}
	}()
	select {
	case err := <-stuck:
		if !errors.Is(err, ErrStuck) {
			t.Fatalf("after %d messages: %v, want ErrStuck", sent, err)
		}
	case <-time.After(patience):
		t.Fatal("Send waits")
	}
	if sent < 64 {
		t.Errorf("only %d messages fit: an ordinary burst would look like a hung peer", sent)
	}
	t.Logf("%d messages fit", sent)
	for range sent {
		expect[*Report](t, b)
	}
	if err := a.Send(&Ready{}); err != nil {
		t.Errorf("after the peer has read: %v", err)
	}
	expect[*Ready](t, b)
}

func TestAClosedChannelReturnsAnError(t *testing.T) {
	a, b := pair(t)
	got := make(chan error, 1)
	go func() {
		_, _, err := a.Receive()
		got <- err
	}()
	// The goroutine may wait already or not. Both must end the same way.
	if err := a.Send(&Ready{}); err != nil {
		t.Fatal(err)
	}
	expect[*Ready](t, b)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("Receive: %v, want os.ErrClosed", err)
		}
	case <-time.After(patience):
		t.Error("Close did not wake Receive")
	}
	if err := a.Send(&Ready{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Send: %v, want os.ErrClosed", err)
	}
	if _, _, err := a.Receive(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Receive: %v, want os.ErrClosed", err)
	}
	if err := a.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Close: %v, want os.ErrClosed", err)
	}
}

func TestNewChannelRefusesOtherDescriptors(t *testing.T) {
	stream, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(stream[:])
	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll([]int{tcp})
	for _, fd := range []int{-1, stream[0], tcp, int(scratch(t).Fd())} {
		if c, err := NewChannel(fd); err == nil || c != nil {
			t.Errorf("NewChannel accepted descriptor %d", fd)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); fd >= 0 && err != nil {
			t.Errorf("descriptor %d was closed", fd)
		}
	}
}

func TestAnInheritedEndBecomesCloseOnExecAndNonBlocking(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(fds[1:])
	open(t, fds[0])
	if !closeOnExec(t, fds[0]) {
		t.Error("a program that a handler starts would inherit the channel")
	}
	flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("blocking: flags %#x, %v", flags, err)
	}
}

func TestANewPairIsCloseOnExec(t *testing.T) {
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll([]int{a, b})
	if !closeOnExec(t, a) || !closeOnExec(t, b) {
		t.Error("every worker would inherit the channels of the others")
	}
}
