package livefork

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What became of a clone.
type outcome int

const (
	failed    outcome = iota // there is no child: see the errno
	awake                    // it was not tried, because sysmon was not asleep
	stillborn                // the child exits by itself
	born                     // this is the parent of a good child
	child                    // this is a good child
)

const (
	undecided = 0
	good      = 1
	bad       = 2
)

// clone copies the process, if sysmon sleeps all the time. verdict is the word in
// which the parent tells the child, number distinguishes this child from those that
// used the word before; its lowest two bits are 0.
//
// The child must not enter the scheduler before it knows the verdict, since sysmon may
// have held a lock of it. So it runs only functions here that have no stack check.
//
//go:nosplit
func (f *Forker) clone(verdict *uint32, number uint32) (int, outcome, syscall.Errno) {
	if !f.sysmonRests() {
		return 0, awake, 0
	}
	atomic.StoreUint32(verdict, number|undecided)
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, f.flags, 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, failed, errno
	}
	if pid == 0 {
		awaitVerdict(verdict, number)
		return 0, child, 0
	}
	if !f.sysmonRested() {
		atomic.StoreUint32(verdict, number|bad)
		futexWake(verdict)
		return int(pid), stillborn, 0
	}
	atomic.StoreUint32(verdict, number|good)
	futexWake(verdict)
	return int(pid), born, 0
}

// sysmonRests reports whether sysmon was seen asleep and has not run since. It may have
// been woken and wait for a processor, which takes long on a busy machine: what it had in
// memory when it fell asleep is still there.
//
//go:nosplit
func (f *Forker) sysmonRests() bool {
	if f.sysmonRested() {
		return true
	}
	// First the counters, then the state: a thread that was running when its counters
	// were read has others once it sleeps.
	f.restN = rawRead(f.statFile, &f.rest)
	if f.restN > 0 && f.asleep() {
		return true
	}
	f.restN = 0
	return false
}

// sysmonRested reports whether sysmon's counters are those of when it was seen asleep.
//
//go:nosplit
func (f *Forker) sysmonRested() bool {
	n := rawRead(f.statFile, &f.now)
	if n == 0 || n != f.restN {
		return false
	}
	for i := 0; i < n; i++ {
		if f.now[i] != f.rest[i] {
			return false
		}
	}
	return true
}

// asleep reports whether sysmon sleeps in one of its two system calls.
//
//go:nosplit
func (f *Forker) asleep() bool {
	n := rawRead(f.callFile, &f.text)
	call := 0
	for i := 0; i < n; i++ {
		switch c := f.text[i]; {
		case c >= '0' && c <= '9':
			call = 10*call + int(c-'0')
		default:
			return c == ' ' && i > 0 && (call == unix.SYS_NANOSLEEP || call == unix.SYS_FUTEX)
		}
	}
	return false
}

// orphanTime is how long a child waits for its verdict, in nanoseconds. Then the parent
// has been killed, or has made so many children that the word is used again. Tests
// shorten it.
var orphanTime = int64(10e9)

// awaitVerdict returns if the verdict is good and ends the process if not.
//
//go:nosplit
func awaitVerdict(verdict *uint32, number uint32) {
	timeout := unix.Timespec{Sec: 1}
	for end := int64(0); ; {
		value := atomic.LoadUint32(verdict)
		switch value {
		case number | good:
			return
		case number | bad:
			exit(Stillborn)
		}
		futexWait(verdict, value, &timeout)
		now := rawClock()
		if end == 0 {
			end = now + orphanTime
		} else if now > end {
			exit(Stillborn)
		}
	}
}

// wordsOf returns shared memory as words.
func wordsOf(memory []byte) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(&memory[0])), len(memory)/4)
}
