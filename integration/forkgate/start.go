package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spawn starts this program in a role. It is not waited for by package os.
func spawn(as string, files ...*os.File) (int, error) {
	attr := &os.ProcAttr{
		Env:   append(os.Environ(), role+"="+as, "GOMAXPROCS=1"),
		Files: append([]*os.File{nil, os.Stdout, os.Stderr}, files...),
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	process, err := os.StartProcess("/proc/self/exe", []string{"forkgate-" + as}, attr)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", as, err)
	}
	pid := process.Pid
	return pid, process.Release()
}

// start starts the zygote and waits until it can fork.
func (p *player) start() error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	p.address = listener.Addr().String()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("create channel: %w", err)
	}
	p.channel = os.NewFile(uintptr(pair[0]), "channel")
	end := os.NewFile(uintptr(pair[1]), "channel")
	defer end.Close()
	if p.zygote, err = spawn("zygote", end, file); err != nil {
		return err
	}
	if r, err := p.receive(); err != nil || r.Error != "" {
		return cmp.Or(err, errors.New(r.Error))
	}
	return p.makeIdle()
}

// receive returns the zygote's next answer.
func (p *player) receive() (r reply, err error) {
	timeout := unix.NsecToTimeval(int64(p.timeout))
	if err := unix.SetsockoptTimeval(int(p.channel.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return r, err
	}
	buf := make([]byte, 1<<16)
	n, err := unix.Read(int(p.channel.Fd()), buf)
	for err == unix.EINTR {
		n, err = unix.Read(int(p.channel.Fd()), buf)
	}
	if err != nil {
		dump(p.zygote)
		return r, fmt.Errorf("the zygote does not answer: %w", err)
	}
	if err := json.Unmarshal(buf[:n], &r); err != nil {
		return r, fmt.Errorf("the zygote's answer %q: %w", buf[:n], err)
	}
	return r, nil
}

// makeIdle gives threads of the zygote the scheduling class of the scene.
func (p *player) makeIdle() error {
	if p.idle == nobody {
		return nil
	}
	threads, err := threadsOf(p.zygote)
	if err != nil {
		return err
	}
	if len(threads) < 2 {
		return fmt.Errorf("the zygote has the threads %v", threads)
	}
	if p.idle == sysmonOnly {
		// The first thread that a Go program starts; /proc lists them in that order.
		threads = threads[1:2]
	}
	for _, tid := range threads {
		if err := setIdle(tid); err != nil {
			return err
		}
	}
	return nil
}

func setIdle(tid int) error {
	var param int32
	_, _, errno := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), unix.SCHED_IDLE, uintptr(unsafe.Pointer(&param)))
	if errno != 0 {
		return fmt.Errorf("give thread %d SCHED_IDLE: %w", tid, errno)
	}
	return nil
}

// threadsOf returns the threads of a process in the order in which they were started.
func threadsOf(pid int) ([]int, error) {
	dir, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	threads := make([]int, len(names))
	for i, name := range names {
		threads[i], _ = strconv.Atoi(name)
	}
	return threads, nil
}

func startLoops(s scene) (loops []int, err error) {
	for range s.loops {
		pid, err := spawn("loop")
		if err != nil {
			return loops, err
		}
		loops = append(loops, pid)
		if s.idle == loopsToo {
			threads, err := threadsOf(pid)
			if err != nil {
				return loops, err
			}
			for _, tid := range threads {
				if err := setIdle(tid); err != nil {
					return loops, err
				}
			}
		}
	}
	return loops, nil
}

// stop ends the zygote and what is left of its children.
func (p *player) stop() {
	if p.channel != nil {
		p.channel.Close()
	}
	for _, children := range []map[int]bool{p.spare, p.stillborn} {
		for pid := range children {
			kill(pid)
		}
	}
	if p.zygote == 0 {
		return
	}
	// It ends by itself when its channel is closed.
	for end := time.Now().Add(p.timeout); ; time.Sleep(time.Millisecond) {
		var usage unix.Rusage
		pid, err := unix.Wait4(p.zygote, nil, unix.WNOHANG, &usage)
		switch {
		case pid == p.zygote:
			p.tally.zygote = cpu(usage)
			return
		case err != nil && err != unix.EINTR:
			p.tally.note("wait for the zygote: %v", err)
			return
		case time.Now().After(end):
			p.hung(errors.New("the zygote does not end"))
			kill(p.zygote)
			return
		}
	}
}

// kill ends processes and waits for them.
func kill(pids ...int) {
	for _, pid := range slices.Clone(pids) {
		_ = unix.Kill(pid, unix.SIGKILL)
		for {
			if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
				break
			}
		}
	}
}
