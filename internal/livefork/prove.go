package livefork

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	proofTime  = 500 * time.Millisecond // in which the state is reached
	crowdTime  = time.Second            // the same if threads do not get to run
	maxParkers = 64
	settleTime = 100 * time.Millisecond
	settled    = time.Millisecond // sysmon sleeps at least so long when nothing happens
)

// Prove brings the process into the state in which it may be forked, and checks each
// condition. The error is a *Condition. It takes tens of milliseconds, at most half a
// second, or a second on a machine that is so crowded that threads of the
// runtime do not come to rest.
func (f *Forker) Prove() error {
	f.proven = false
	if forked {
		return condition(Forked, "a forked worker cannot fork")
	}
	if n := runtime.GOMAXPROCS(0); n != 1 {
		return condition(OneP, "GOMAXPROCS is %d: a program that forks must run with GOMAXPROCS=1", n)
	}
	unhelped := 0 // how often a new parker did not make the threads fewer
	for began := time.Now(); ; {
		c := f.check(&unhelped)
		if c == nil {
			break
		}
		if unhelped > 3 {
			return unparkable()
		}
		if took := time.Since(began); took > crowdTime || took > proofTime && !c.restless {
			return c
		}
		runtime.Gosched()
		nap(time.Millisecond)
	}
	f.settle()
	f.proven = true
	return nil
}

// check is one round of Prove.
func (f *Forker) check(unhelped *int) *Condition {
	if c := foreign(); c != nil {
		return c
	}
	if c := f.poller.find(); c != nil {
		return c
	}
	others, parked, err := f.others()
	if err != nil {
		return condition(Platform, "%v", err)
	}
	if len(others) == 1 {
		return f.findSysmon(others, parked)
	}
	polling := false
	for _, s := range others {
		if s.call == running {
			return restless(Thread, "a thread of the runtime does not come to rest")
		}
		polling = polling || s.call == unix.SYS_EPOLL_PWAIT || s.call == unix.SYS_EPOLL_PWAIT2
	}
	if polling {
		time.Sleep(time.Microsecond) // it wakes the thread that waits in the netpoller
		return restless(Thread, "a thread waits in the network poller")
	}
	if parked >= maxParkers {
		return condition(Thread, "the runtime has more than %d idle threads", maxParkers)
	}
	nap(time.Millisecond)
	if now, _, err := f.others(); err != nil || !maps.Equal(now, others) {
		return restless(Thread, "a thread of the runtime does not come to rest")
	}
	f.parkThread()
	if now, _, err := f.others(); err == nil && len(now) >= len(others) {
		*unhelped++
	}
	return restless(Thread, "the runtime has %d idle threads that are not parked", len(others)-1)
}

// findSysmon takes the only thread that is neither the caller nor a parker for sysmon.
func (f *Forker) findSysmon(others map[int]state, parked int) *Condition {
	for tid, s := range others {
		if s.call != unix.SYS_NANOSLEEP && s.call != unix.SYS_FUTEX {
			return restless(Sysmon, "the runtime's thread sysmon is not asleep")
		}
		if err := f.openSysmon(tid); err != nil {
			return condition(Platform, "%v", err)
		}
	}
	f.goroutines = runtime.NumGoroutine()
	f.threads = parked + 2
	if n := f.countThreads(); n != f.threads {
		return restless(Thread, "the process has %d threads after it had %d", n, f.threads)
	}
	return nil
}

func (f *Forker) openSysmon(tid int) error {
	if tid == f.sysmon {
		return nil
	}
	dir := "/proc/self/task/" + strconv.Itoa(tid)
	call, err := rawOpen(dir+"/syscall", 0)
	if err != nil {
		return fmt.Errorf("open %s/syscall: %w", dir, err)
	}
	stat, err := rawOpen(dir+"/schedstat", 0)
	if err != nil {
		rawClose(uintptr(call))
		return fmt.Errorf("open %s/schedstat: %w", dir, err)
	}
	text := f.text[:rawRead(stat, &f.text)]
	if fields := bytes.Fields(text); len(fields) != 3 || string(fields[2]) == "0" {
		rawClose(uintptr(call))
		rawClose(uintptr(stat))
		return fmt.Errorf("%s/schedstat does not count: %q", dir, text)
	}
	f.closeSysmon()
	f.sysmon, f.callFile, f.statFile, f.restN = tid, call, stat, 0
	return nil
}

func (f *Forker) closeSysmon() {
	if f.sysmon != 0 {
		rawClose(uintptr(f.callFile))
		rawClose(uintptr(f.statFile))
		f.sysmon = 0
	}
}

// countThreads returns the number of threads: the directory of tasks has a link for each.
func (f *Forker) countThreads() int {
	var st unix.Stat_t
	if rawFstat(f.taskDir, &st) != 0 {
		return -1
	}
	return int(st.Nlink) - 2
}

// settle waits until sysmon sleeps long: after each event it naps for only 20 us at
// first, and a fork between such naps would seldom succeed.
func (f *Forker) settle() {
	for end := time.Now().Add(settleTime); time.Now().Before(end); {
		rests := f.sysmonRests()
		nap(settled)
		if rests && f.sysmonRested() {
			return
		}
	}
}

// changed reports whether something happened since the proof that needs another.
func (f *Forker) changed() bool {
	return runtime.NumGoroutine() != f.goroutines || f.countThreads() != f.threads ||
		f.poller.changed(&f.text) || os.Getpid() != f.pid
}
