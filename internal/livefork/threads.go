package livefork

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// tasks lists the threads of this process.
func tasks(dir int) ([]int, error) {
	if _, err := unix.Seek(dir, 0, 0); err != nil {
		return nil, err
	}
	return numbers(dir)
}

// numbers lists the entries of an open directory whose names are numbers.
func numbers(dir int) ([]int, error) {
	var all []int
	var buf [4096]byte
	for {
		n, err := unix.ReadDirent(dir, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return all, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if number, err := strconv.Atoi(name); err == nil {
				all = append(all, number)
			}
		}
	}
}

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
	all, err := tasks(f.taskDir)
	if err != nil {
		return nil, 0, fmt.Errorf("list threads: %w", err)
	}
	self := unix.Gettid()
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
	fd, err := unix.Open("/proc/self/task/"+strconv.Itoa(tid)+"/syscall", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return state{call: running} // it ended
	}
	defer unix.Close(fd)
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
	_, _ = unix.Write(f.park[1], []byte{0})
}
