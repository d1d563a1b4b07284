package ipc

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// rawPair returns the master's end and the worker's raw one.
func rawPair(t *testing.T) (*Channel, *RawChannel) {
	t.Helper()
	mine, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewChannel(mine)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewRawChannel(theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

func TestARawChannelDoesNotWait(t *testing.T) {
	a, b := rawPair(t)
	if _, _, err := b.Receive(); !errors.Is(err, ErrNothing) {
		t.Errorf("received %v of nothing, want ErrNothing", err)
	}
	var stuck error
	for range 100_000 {
		if stuck = b.Send(&Ready{}); stuck != nil {
			break
		}
	}
	if !errors.Is(stuck, ErrStuck) {
		t.Errorf("sent to a peer that does not read: %v, want ErrStuck", stuck)
	}
	expect[*Ready](t, a)
}

func TestARawChannelCarriesMessagesAndDescriptors(t *testing.T) {
	a, b := rawPair(t)
	f := int(scratch(t).Fd())
	if err := a.Send(&Fork{ID: 3, Slot: 1}, f, f, f); err != nil {
		t.Fatal(err)
	}
	sendRaw(t, a, []byte("nonsense"))
	if err := a.Send(&Stop{}); err != nil {
		t.Fatal(err)
	}
	m, fds, err := b.Receive()
	if fork, ok := m.(*Fork); !ok || fork.ID != 3 || len(fds) != 3 || err != nil {
		t.Fatalf("received %#v with %v, %v", m, fds, err)
	}
	for _, fd := range fds {
		if !closeOnExec(t, fd) {
			t.Error("programs would inherit a received descriptor")
		}
	}
	closeAll(fds)
	var bad *ProtocolError
	if _, _, err := b.Receive(); !errors.As(err, &bad) {
		t.Errorf("received %v, want a *ProtocolError", err)
	}
	if m, _, err := b.Receive(); err != nil || m.Type() != TypeStop {
		t.Errorf("received %v, %v after nonsense", m, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Receive(); err != io.EOF {
		t.Errorf("received %v of a peer that has gone, want io.EOF", err)
	}
	if err := b.Send(&Ready{}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent to a peer that has gone: %v, want EPIPE", err)
	}
}

func TestARawChannelNeedsAnEndOfAPair(t *testing.T) {
	if _, err := NewRawChannel(int(scratch(t).Fd())); err == nil {
		t.Error("took a file")
	}
}
