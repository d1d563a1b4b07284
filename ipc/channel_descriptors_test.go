package ipc

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDescriptorsArriveCloseOnExecAndWork(t *testing.T) {
	noLeak(t, func() {
		a, b := pair(t)
		f := scratch(t)
		if err := a.Send(&Reopen{}, int(f.Fd())); err != nil {
			t.Fatal(err)
		}
		r := receive(t, b)
		if r.err != nil || len(r.fds) != 1 {
			t.Fatalf("received %v, %v", r.fds, r.err)
		}
		if !closeOnExec(t, r.fds[0]) {
			t.Error("the descriptor is not close-on-exec")
		}
		if _, err := unix.Write(r.fds[0], []byte("x")); err != nil {
			t.Error(err)
		}
		closeAll(r.fds)
		for _, c := range []io.Closer{a, b, f} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDescriptorsWithoutAMessageAreClosed(t *testing.T) {
	f := int(scratch(t).Fd())
	for _, test := range []struct {
		name, data string
		fds        []int
		wantErr    string
		wantFDs    int
	}{
		{"garbage", `{{{`, []int{f}, "bad message", 0},
		{"too long", strings.Repeat("x", MaxMessage+1), []int{f, f}, "too long", 0},
		{"body of a wrong kind", `{"type":"hello","body":1}`, []int{f}, "bad hello", 0},
		{"unknown type", `{"type":"adopt"}`, []int{f, f}, "", 0},
		{"type without descriptors", `{"type":"report"}`, []int{f, f}, "", 0},
		{"more than belong", `{"type":"reopen"}`, []int{f, f, f}, "", 1},
		{"fewer than belong", `{"type":"reopen"}`, nil, "0 descriptors, want 1", 0},
		{"more than the access log", `{"type":"access_log"}`, []int{f, f}, "", 1},
		{"no access log", `{"type":"access_log"}`, nil, "0 descriptors, want 1", 0},
		{"fewer than a fork needs", `{"type":"fork","body":{"id":1}}`, []int{f, f}, "2 descriptors, want 3", 0},
		{"as many as may be", `{"type":"reopen"}`, slices.Repeat([]int{f}, MaxFiles), "", 1},
		{"too many", `{"type":"reopen"}`, slices.Repeat([]int{f}, MaxFiles+1), "lost descriptors", 0},
		{"far too many", `{"type":"reopen"}`, slices.Repeat([]int{f}, 253), "lost descriptors", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := pair(t)
			noLeak(t, func() {
				sendRaw(t, a, []byte(test.data), test.fds...)
				r := receive(t, b)
				switch {
				case test.wantErr == "" && r.err != nil:
					t.Error(r.err)
				case test.wantErr != "" && (r.err == nil || !strings.Contains(r.err.Error(), test.wantErr)):
					t.Errorf("error %v, want %q", r.err, test.wantErr)
				}
				if len(r.fds) != test.wantFDs {
					t.Errorf("returned descriptors %v, want %d", r.fds, test.wantFDs)
				}
				closeAll(r.fds)
			})
			if err := a.Send(&Ready{}); err != nil {
				t.Fatal(err)
			}
			expect[*Ready](t, b)
		})
	}
}

func TestSendRefusesAWrongNumberOfDescriptors(t *testing.T) {
	a, _ := pair(t)
	f := int(scratch(t).Fd())
	if err := a.Send(&Reopen{}); err == nil || !strings.Contains(err.Error(), "reopen") {
		t.Errorf("reopen without a file: %v", err)
	}
	if err := a.Send(&Reopen{}, slices.Repeat([]int{f}, MaxFiles+1)...); err == nil {
		t.Error("sent more than MaxFiles")
	}
	if err := a.Send(&Reopen{}, -1); !errors.Is(err, unix.EBADF) {
		t.Errorf("a bad descriptor: %v, want EBADF", err)
	}
}

func TestTheMasterRefusesAWorkersDescriptors(t *testing.T) {
	a, b := pair(t)
	var err error
	_ = a.raw.Control(func(fd uintptr) {
		_, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
	})
	if err != nil {
		t.Skipf("the kernel cannot refuse descriptors, Linux 6.16 can: %v", err)
	}
	f := int(scratch(t).Fd())
	if err := b.Send(&Report{}, f); !errors.Is(err, unix.EPERM) {
		t.Errorf("a worker's descriptor: %v, want EPERM", err)
	}
	if err := a.Send(&Reopen{}, f); err != nil {
		t.Errorf("a master's descriptor: %v", err)
	}
}

// helperFewDescriptors receives a descriptor beyond its limit of open files.
func helperFewDescriptors() error {
	ms, ws, err := Pair()
	if err != nil {
		return err
	}
	a, err := NewChannel(ms)
	if err != nil {
		return err
	}
	b, err := NewChannel(ws)
	if err != nil {
		return err
	}
	if err := errors.Join(a.Send(&Reopen{}, 1), a.Send(&Ready{})); err != nil {
		return err
	}
	// The limit is one above the highest descriptor. When the gaps are filled, no
	// descriptor is free.
	limit := unix.Rlimit{Cur: uint64(ws) + 1, Max: uint64(ws) + 1}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for err == nil {
		_, err = unix.Dup(1)
	}
	_, _, err = b.Receive()
	fmt.Println(err)
	m, fds, err := b.Receive()
	fmt.Println(m.Type(), fds, err)
	return nil
}

func TestADescriptorWithoutRoomIsAnErrorAndNotTheEnd(t *testing.T) {
	h := startHelper(t, "few-fds")
	if got := h.line(); !strings.Contains(got, "RLIMIT_NOFILE") {
		t.Errorf("the error is %q", got)
	}
	if got := h.line(); got != "ready [] <nil>" {
		t.Errorf("the next message is %q", got)
	}
	h.wait()
}
