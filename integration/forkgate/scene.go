package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/livefork"
)

// scene is a number of forks of one zygote under the same circumstances.
type scene struct {
	name    string
	forks   int
	spares  int  // children that wait at the same time
	loops   int  // busy loops beside it
	idle    idle // what has SCHED_IDLE
	timeout time.Duration
}

type idle int

const (
	nobody     idle = iota
	sysmonOnly      // the zygote's thread sysmon
	loopsToo        // zygote, children and the loops
	zygoteOnly      // zygote and children: they get a hundredth of a processor
)

const (
	sceneForks = 25000            // at most, then a new zygote
	patience   = 10 * time.Second // for a connection; a good child needs a millisecond
	longest    = 60 * time.Second // the same of children that hardly run
)

// scenes divides the forks. Half are calm; only a thousandth has a hundredth of a
// processor, for these take the longest.
func scenes(n int) []scene {
	kinds := []scene{
		{name: "calm", forks: n * 3 / 8, spares: 1},
		{name: "calm, 4 spares", forks: n / 8, spares: 4},
		{name: "loops", forks: n / 8, spares: 1, loops: 2},
		{name: "loops, 4 spares", forks: n / 8, spares: 4, loops: 2},
		{name: "loops, sysmon idle", forks: n / 8, spares: 2, loops: 2, idle: sysmonOnly},
		{name: "loops, all idle", forks: n/8 - n/1000, spares: 2, loops: 2, idle: loopsToo},
		{name: "loops, zygote idle", forks: n / 1000, spares: 4, loops: 2, idle: zygoteOnly, timeout: longest},
	}
	var all []scene
	for _, s := range kinds {
		if s.timeout == 0 {
			s.timeout = patience
		}
		for left := s.forks; left > 0; left -= sceneForks {
			s.forks = min(left, sceneForks)
			all = append(all, s)
		}
	}
	return all
}

// player plays one scene.
type player struct {
	scene
	random    *rand.Rand
	channel   *os.File // of the zygote
	address   string   // of the listener
	zygote    int
	spare     map[int]bool // children that have not ended
	unserved  int          // of these
	stillborn map[int]bool // the same of those that end by themselves
	tally     tally
}

// play runs a scene. An error ends the gate.
func play(s scene, seed uint64) (tally, error) {
	p := &player{
		scene: s, random: rand.New(rand.NewPCG(seed, 0)),
		spare: make(map[int]bool), stillborn: make(map[int]bool),
	}
	began := time.Now()
	loops, err := startLoops(s)
	if err == nil {
		err = p.start()
	}
	if err == nil {
		err = p.forkAll()
	}
	p.stop()
	kill(loops...)
	p.tally.wall = time.Since(began)
	return p.tally, err
}

// forkAll makes the children and lets them serve, until all have ended.
func (p *player) forkAll() error {
	for i := 1; i <= p.forks || p.unserved > 0; i++ {
		if i <= p.forks {
			p.pause()
			if err := p.fork(i); err != nil {
				return err
			}
			if p.unserved < p.spares && i < p.forks {
				continue
			}
		}
		if p.unserved == 0 {
			continue // the fork failed
		}
		if err := ask(p.address, i, p.timeout); err != nil {
			p.hung(err)
		} else {
			p.unserved--
		}
		if err := p.reap(); err != nil {
			return err
		}
	}
	return nil
}

// pause moves the fork to another moment of sysmon's naps. Seldom it is so long that
// the zygote waits as any goroutine does.
func (p *player) pause() {
	switch r := p.random.IntN(5000); {
	case r == 0:
		time.Sleep(1100 * time.Millisecond)
	case r < 1000:
		nap(time.Duration(p.random.IntN(2000)) * time.Microsecond)
	}
}

// nap sleeps; time.Sleep is a millisecond at least.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal may end it
}

// fork requests one child.
func (p *player) fork(i int) error {
	if _, err := unix.Write(int(p.channel.Fd()), strconv.AppendInt(nil, int64(i), 10)); err != nil {
		return fmt.Errorf("request a fork: %w", err)
	}
	r, err := p.receive()
	if err != nil {
		return err
	}
	for _, pid := range r.Stillborn {
		p.stillborn[pid] = true
	}
	p.tally.stillborn += len(r.Stillborn)
	if r.Error != "" {
		// The zygote says why; a server would start a process instead.
		p.tally.failed++
		p.tally.note("fork %d: %s", i, r.Error)
		return nil
	}
	p.tally.forks++
	p.spare[r.PID] = true
	p.unserved++
	return nil
}

// reap waits until each child that has served its connection has ended.
func (p *player) reap() error {
	for end := time.Now().Add(p.timeout); ; {
		pid, status, err := p.wait()
		switch {
		case err != nil:
			return err
		case pid > 0:
			p.ended(pid, status)
		case len(p.spare) == p.unserved:
			return nil
		case time.Now().After(end):
			p.hung(fmt.Errorf("%d children did not end", len(p.spare)-p.unserved))
			return nil
		default:
			nap(50 * time.Microsecond)
		}
	}
}

// wait returns a child that has ended, or 0.
func (p *player) wait() (int, unix.WaitStatus, error) {
	var status unix.WaitStatus
	var usage unix.Rusage
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, &usage)
	if err != nil && err != unix.EINTR {
		return 0, 0, fmt.Errorf("wait for a child: %w", err)
	}
	if pid <= 0 {
		return 0, 0, nil
	}
	if !p.spare[pid] && !p.stillborn[pid] {
		return 0, 0, fmt.Errorf("process %d, which is no child, ended with wait status %#x", pid, status)
	}
	p.tally.children += cpu(usage)
	return pid, status, nil
}

func (p *player) ended(pid int, status unix.WaitStatus) {
	if p.spare[pid] && status != 0 || p.stillborn[pid] && status.ExitStatus() != livefork.Stillborn {
		p.tally.wrong++
		p.tally.note("child %d ended with wait status %#x", pid, status)
	}
	delete(p.spare, pid)
	delete(p.stillborn, pid)
}
