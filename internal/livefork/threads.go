package livefork

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// state is what a thread does: the system call in which it sleeps and its first
// argument. A thread that runs is in none.
type state struct {
	call  int
	first uint64
}

const running = -1

// parseState reads the text of /proc/T/syscall.
func parseState(text []byte) state {
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return state{call: running}
	}
	call, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		return state{call: running} // "running"
	}
	first, err := strconv.ParseUint(string(bytes.TrimPrefix(fields[1], []byte("0x"))), 16, 64)
	if err != nil {
		return state{call: running}
	}
	return state{call, first}
}

// others returns the threads that are neither the caller nor parkers, with what they
// do. parked is the number of parkers.
func (f *Forker) others() (others map[int]state, parked int, err error) {
	all, err := rawEntries(f.taskDir)
	if err != nil {
		return nil, 0, fmt.Errorf("list threads: %w", err)
	}
	tid, _, _ := syscall.RawSyscall(unix.SYS_GETTID, 0, 0, 0)
	self := int(tid)
	others = make(map[int]state)
	for _, tid := range all {
		if tid == self {
			continue
		}
		s := f.stateOf(tid)
		if s.call == unix.SYS_READ && s.first == uint64(f.park[0]) {
			parked++
			continue
		}
		others[tid] = s
	}
	return others, parked, nil
}

func (f *Forker) stateOf(tid int) state {
	fd, err := rawOpen("/proc/self/task/"+strconv.Itoa(tid)+"/syscall", 0)
	if err != nil {
		return state{call: running} // it ended
	}
	defer rawClose(uintptr(fd))
	return parseState(f.text[:rawRead(fd, &f.text)])
}

// parkThread makes one thread sleep in read of the parking pipe until unparkThread, or
// for ever. It returns in another thread: the caller's becomes the parker.
func (f *Forker) parkThread() {
	read := f.park[0]
	go func() {
		var b [1]byte
		for {
			if _, err := unix.Read(read, b[:]); err != unix.EINTR {
				return
			}
		}
	}()
	runtime.Gosched()
}

// unparkThread ends one parker, so that the scheduler has an idle thread.
func (f *Forker) unparkThread() {
	var b [1]byte
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(f.park[1]), uintptr(unsafe.Pointer(&b)), 1)
}
