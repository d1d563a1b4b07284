package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// hostile are commands that attack the master and the other workers, as a
// worker could do that runs an attacker's code, or whose C library writes to a
// wrong descriptor.
var hostile = map[string]func(ctx context.Context, argument string) (string, error){
	"datagram":    func(_ context.Context, text string) (string, error) { return "sent", send(text) },
	"nest":        func(context.Context, string) (string, error) { return "sent", send(nested) },
	"flood":       flood,
	"descriptors": descriptors,
	"linger":      linger,
	"truncate":    each(func(fd int) error { return errors.Join(unix.Ftruncate(fd, 0), unix.Ftruncate(fd, 1<<30)) }),
	"punch": each(func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20)
	}),
	"fill":     fill,
	"scribble": scribble,
	"figures":  figures,
	"child":    child,
	"die":      func(context.Context, string) (string, error) { return "", syscall.Kill(os.Getpid(), syscall.SIGKILL) },
	"segv":     func(context.Context, string) (string, error) { *(*int)(unsafe.Add(nil, 0x10000)) = 1; return "", nil },
	"overflow": func(context.Context, string) (string, error) { return strconv.Itoa(endless(0)), nil },
	"deadlock": func(context.Context, string) (string, error) {
		var mu sync.Mutex
		mu.Lock()
		mu.Lock()
		return "", nil
	},
	"error": func(_ context.Context, text string) (string, error) {
		text, err := strconv.Unquote(`"` + text + `"`)
		return "", errors.Join(err, errors.New(text))
	},
	"shutdown": onListener(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }),
	"backlog":  onListener(func(fd int) error { return unix.Listen(fd, 0) }),
	"blocking": onListener(func(fd int) error { return unix.SetNonblock(fd, false) }),
	"filter":   onListener(filter),
	"reset": onListener(func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}),
	"hang":   func(context.Context, string) (string, error) { select {} },
	"close":  onListener(unix.Close),
	"stderr": func(context.Context, string) (string, error) { return "done", unix.SetNonblock(unix.Stderr, true) },
}

func init() {
	for name, do := range hostile {
		commands[name] = do
	}
}

// send sends any datagram on the channel.
func send(text string, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(ipc.ChannelFD, []byte(text), oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// nested is JSON nested as deeply as fits into a datagram.
var nested = `{"type":"report","body":{"doing":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}}`

// flood sends the same datagram for a second as fast as it can.
func flood(_ context.Context, text string) (string, error) {
	if text == "large" {
		text = `{"type":"report","body":{"doing":"` + strings.Repeat("x", 60_000) + `"}}`
	}
	sent := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		switch err := send(text); {
		case err == nil:
			sent++
		case !errors.Is(err, unix.EAGAIN):
			return fmt.Sprintf("sent %d, then %v", sent, err), nil
		}
	}
	return fmt.Sprintf("sent %d", sent), nil
}

// descriptors sends datagrams for a second, each with as many descriptors as
// possible.
func descriptors(context.Context, string) (string, error) {
	fds := make([]int, 250)
	sent := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		if send(`{"type":"report"}`, fds...) == nil {
			sent++
		}
	}
	return fmt.Sprintf("sent %d", sent), nil
}

// linger sends a socket whose close blocks for ten minutes, because its peer
// reads nothing and SO_LINGER is set. The datagram has more descriptors than the
// master accepts, so that the kernel closes the socket.
func linger(context.Context, string) (string, error) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(l, 1)); err != nil {
		return "", err
	}
	address, err := unix.Getsockname(l)
	if err != nil {
		return "", err
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	if err := errors.Join(unix.Connect(c, address), unix.SetNonblock(c, true)); err != nil {
		return "", err
	}
	for block := make([]byte, 1<<16); err == nil; {
		_, err = unix.Write(c, block)
	}
	err = unix.SetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 600})
	if err != nil {
		return "", err
	}
	for range 100 { // so that the master reads the last datagram after the worker has closed its copy
		_ = send(`{"type":"report"}`)
	}
	fds := append(make([]int, ipc.MaxFiles), c)
	if err := send(`{"type":"report"}`, fds...); err != nil {
		return fmt.Sprintf("refused: %v", err), nil
	}
	if err := unix.Close(c); err != nil { // the datagram has the last reference
		return "", err
	}
	return startChild(l) // keeps the peer open when this worker exits
}

// memories returns the descriptors of the memory that a worker shares with the
// master.
func memories() []int {
	var fds []int
	for fd := ipc.ChannelFD + 1; fd < ipc.ListenerFD; fd++ {
		fds = append(fds, fd)
	}
	return fds
}

// each returns a command that calls do for each shared memory. The answer has
// the errors of the kernel.
func each(do func(fd int) error) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) {
		var errs []string
		for _, fd := range memories() {
			errs = append(errs, fmt.Sprint(fd, ": ", do(fd)))
		}
		return strings.ReplaceAll(strings.Join(errs, ", "), "\n", " "), nil
	}
}

// fill writes up to half a gigabyte into each shared memory.
func fill(context.Context, string) (string, error) {
	block := make([]byte, 1<<20)
	return each(func(fd int) error {
		for i := range 512 {
			if _, err := unix.Pwrite(fd, block, int64(i)<<20); err != nil {
				return err
			}
		}
		return nil
	})(context.Background(), "")
}

// scribble fills all shared memory that can be mapped for writing with a byte,
// for two seconds.
func scribble(_ context.Context, text string) (string, error) {
	with, err := strconv.ParseUint(text, 0, 8)
	if err != nil {
		return "", err
	}
	var all [][]byte
	for _, fd := range memories() {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Size == 0 {
			continue
		}
		if m, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			all = append(all, m)
		}
	}
	go func() {
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			for _, m := range all {
				for i := range m {
					m[i] = byte(with)
				}
			}
		}
	}()
	return fmt.Sprintf("%d memories", len(all)), nil
}

// figures writes absurd figures and an unprintable request into the worker's memory,
// again and again for ten seconds, because the worker's loop writes its own.
func figures(context.Context, string) (string, error) {
	slot, err := ipc.OpenSlot(ipc.SlotFD)
	if err != nil {
		return "", err
	}
	write := func() {
		slot.LoopLag.Store(math.MinInt64)
		slot.HeapBytes.Store(math.MaxUint64)
		slot.Goroutines.Store(math.MinInt32)
		slot.GOMAXPROCS.Store(math.MinInt32)
		slot.Doing.Store("\x1b]0;owned\x07\n\xff" + strings.Repeat("\xff", ipc.MaxDoing))
		slot.DoingSince.Store(1)
	}
	write()
	go func() {
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			write()
		}
	}()
	return "done", nil
}

// child starts a process that inherits all descriptors of the worker.
func child(context.Context, string) (string, error) {
	return startChild(append(append([]int{ipc.ChannelFD}, memories()...), ipc.ListenerFD)...)
}

// startChild starts a process that inherits the descriptors and outlives this
// one. It answers its pid.
func startChild(fds ...int) (string, error) {
	cmd := exec.Command("sleep", "60")
	for _, fd := range fds {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "inherited"))
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	return strconv.Itoa(cmd.Process.Pid), nil
}

func endless(i int) int {
	if i < 0 {
		return 0 // never
	}
	return endless(i+1) + 1
}

func onListener(do func(fd int) error) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return "done", do(ipc.ListenerFD) }
}

// filter attaches a socket filter that drops every segment, and locks it.
func filter(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	prog := unix.SockFprog{Len: 1, Filter: &drop[0]}
	return errors.Join(unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1))
}
