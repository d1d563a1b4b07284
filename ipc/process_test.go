package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// helperWorker sends and receives the messages of a worker's life on the
// inherited channel.
func helperWorker() error {
	c, err := NewChannel(ChannelFD)
	if err != nil {
		return err
	}
	hello := &Hello{Protocol: ProtocolVersion, Build: "helper", PID: os.Getpid()}
	if err := c.Send(hello); err != nil {
		return err
	}
	for {
		m, fds, err := c.Receive()
		if errors.Is(err, io.EOF) {
			_, err := fmt.Println("master gone")
			return err
		}
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *Hello:
			err = c.Send(&Ready{})
		case *Resume:
			err = c.Send(&Report{State: StateIdle})
		case *Reopen:
			_, err = unix.Write(fds[0], []byte("from the worker\n"))
			err = errors.Join(err, unix.Close(fds[0]), c.Send(&Report{State: StateIdle}))
		case *Drain:
			return c.Send(&Drained{Cut: int(m.TimeoutMS)})
		}
		if err != nil {
			return err
		}
	}
}

// startWorker starts helperWorker and does the handshake.
func startWorker(t *testing.T) (*helper, *Channel) {
	t.Helper()
	m, w, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	end := os.NewFile(uintptr(w), "worker")
	h := startHelper(t, "worker", end)
	if err := end.Close(); err != nil {
		t.Fatal(err)
	}
	c := open(t, m)
	if err := c.Send(&Hello{Protocol: ProtocolVersion, Slot: 1}); err != nil {
		t.Fatal(err)
	}
	if got := expect[*Hello](t, c); got.PID != h.cmd.Process.Pid || got.Protocol != ProtocolVersion {
		t.Fatalf("hello %#v of process %d", got, h.cmd.Process.Pid)
	}
	expect[*Ready](t, c)
	return h, c
}

func TestTwoProcessesExchangeEveryMessageOfAWorker(t *testing.T) {
	h, c := startWorker(t)
	if err := c.Send(&Resume{}); err != nil {
		t.Fatal(err)
	}
	expect[*Report](t, c)
	f := scratch(t)
	if err := c.Send(&Reopen{}, int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	expect[*Report](t, c)
	if err := c.Send(&Drain{TimeoutMS: 7}); err != nil {
		t.Fatal(err)
	}
	if got := expect[*Drained](t, c); got.Cut != 7 {
		t.Errorf("received %#v", got)
	}
	expectEOF(t, c)
	h.wait()
	if data, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(data, []byte("from the worker\n")) {
		t.Errorf("read %q from the passed descriptor, %v", data, err)
	}
}

func TestAKilledWorkerIsEOFToTheMaster(t *testing.T) {
	h, c := startWorker(t)
	h.kill()
	expectEOF(t, c)
}

func TestADeadMasterIsEOFToTheWorker(t *testing.T) {
	h, c := startWorker(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := h.line(); got != "master gone" {
		t.Errorf("the worker printed %q", got)
	}
	h.wait()
}
