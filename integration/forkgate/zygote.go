package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"prefork/internal/livefork"
)

// Descriptors of a zygote.
const (
	channelFD  = 3 // a SOCK_SEQPACKET socket
	listenerFD = 4
)

// reply is the answer to a request, which is the number of a fork as text.
type reply struct {
	PID       int    `json:"pid"`
	Stillborn []int  `json:"stillborn"`
	Error     string `json:"error"`
}

// pendingTimers is how many timers are pending in the zygote at each fork. Some are due
// while it waits with P, some become due in the children.
const pendingTimers = 50

const tries = 5

// zygote forks until the channel is closed.
func zygote() {
	for range pendingTimers {
		time.AfterFunc(time.Duration(rand.Int64N(int64(time.Minute))), func() {})
	}
	f, err := livefork.New()
	if err == nil {
		err = f.Prove()
		for try := 1; err != nil && try < tries; try++ { // on a crowded machine
			err = f.Prove()
		}
	}
	for first := true; ; first = false {
		r := reply{}
		switch {
		case err != nil:
			r.Error = err.Error()
		case !first:
			number, ok := receive(f)
			if !ok {
				os.Exit(0)
			}
			c, err := f.Fork()
			if err == nil && c.PID == 0 {
				become(number)
			}
			r.PID, r.Stillborn = c.PID, c.Stillborn
			if err != nil {
				r.Error = err.Error()
			}
		}
		send(r)
	}
}

// receive waits for a request. It reports false at the end of the channel.
func receive(f *livefork.Forker) (number int, ok bool) {
	if err := f.Wait(channelFD); err != nil {
		fmt.Fprintln(os.Stderr, "zygote:", err)
		os.Exit(1)
	}
	var buf [32]byte
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, channelFD, uintptr(unsafe.Pointer(&buf)), uintptr(len(buf)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return 0, false
		}
		if _, err := fmt.Sscan(string(buf[:n]), &number); err != nil {
			fmt.Fprintln(os.Stderr, "zygote:", err)
			os.Exit(1)
		}
		return number, true
	}
}

func send(r reply) {
	text, _ := json.Marshal(r)
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_WRITE, channelFD, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)))
		if errno == 0 {
			return
		}
		if errno != unix.EINTR {
			os.Exit(1)
		}
	}
}

// become is a child: it serves one connection and ends.
func become(number int) {
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	_ = unix.Close(channelFD)
	os.Exit(livefork.Serve(listenerFD, number))
}
