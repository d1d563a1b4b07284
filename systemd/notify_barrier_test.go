package systemd_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/systemd"
)

// pass waits until the manager has received all messages of n.
func pass(t *testing.T, n *systemd.Notifier) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Barrier(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestBarrierReturnsWhenEarlierMessagesAreProcessed(t *testing.T) {
	n, r := notifier(t)
	for range 5 {
		if err := n.Status("x"); err != nil {
			t.Fatal(err)
		}
	}
	pass(t, n)
	got := r.Messages()
	if len(got) != 6 || got[5].Raw != "BARRIER=1" || got[5].Files != 1 {
		t.Errorf("at the barrier the manager had seen %v", got)
	}
}

func TestBarrierGivesUpWithItsContext(t *testing.T) {
	checkDescriptors(t)
	path := filepath.Join(testdir.Short(t), "s")
	manager := deafManager(t, path)
	n, err := systemd.NewNotifierTo(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	passed := make(chan error, 1)
	go func() { passed <- n.Barrier(ctx) }()
	buf, oob := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	k, oobn, _, _, err := manager.ReadMsgUnix(buf, oob)
	if err != nil || string(buf[:k]) != "BARRIER=1" {
		t.Fatalf("the manager got %q, %v", buf[:k], err)
	}
	cancel(cause)
	if err := <-passed; !errors.Is(err, cause) {
		t.Errorf("got error %v, want the context's cause", err)
	}
	controls, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(controls) != 1 {
		t.Fatalf("control data %v, %v", controls, err)
	}
	fds, err := unix.ParseUnixRights(&controls[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v, %v", fds, err)
	}
	_ = unix.Close(fds[0])
}
