package master

import (
	"time"

	"golang.org/x/sys/unix"
)

// strays are processes that a zygote has cloned and that are no workers: those that it
// did not answer for because it died, and those that it has given up. They exit by
// themselves. The owner loop owns the value.
type strays struct {
	wait  int           // for Wait4: a process, or the negative number of a process group
	group int           // their process group
	next  time.Duration // when to look again, on the policy's clock
	until time.Duration // when to kill them; 0: that was done
}

const (
	strayInterval = 50 * time.Millisecond
	strayTime     = 2 * time.Second
)

// reapStrays reaps what is left of a zygote that is gone. Workers are not in its process
// group.
func (m *Master) reapStrays(group int) {
	m.awaitStrays(&strays{wait: -group, group: group})
}

// addStillborn reaps processes that z has cloned and given up.
func (m *Master) addStillborn(z *zygote, pids []int) {
	for _, pid := range pids {
		if z.cloned(pid) {
			m.forks.Stillborn++
			m.awaitStrays(&strays{wait: pid, group: z.pid})
		}
	}
}

func (m *Master) awaitStrays(s *strays) {
	if s.reap() {
		return
	}
	now := m.now()
	s.next, s.until = now+strayInterval, now+strayTime
	m.strays = append(m.strays, s)
}

// reap reaps those that have exited, and reports whether there are no others.
func (s *strays) reap() (none bool) {
	for {
		switch pid, err := unix.Wait4(s.wait, nil, unix.WNOHANG, nil); {
		case err == unix.EINTR:
		case err != nil:
			return true // ECHILD
		case pid == 0:
			return false
		case s.wait > 0:
			return true
		}
	}
}

// reapDueStrays looks at the strays again.
func (m *Master) reapDueStrays(now time.Duration) {
	left := m.strays[:0]
	for _, s := range m.strays {
		if now >= s.next {
			if s.reap() {
				continue
			}
			s.next = now + strayInterval
			if s.until > 0 && now >= s.until {
				s.until = 0
				go s.kill()
			}
			if s.until == 0 {
				s.next = now + strayTime
			}
		}
		left = append(left, s)
	}
	clear(m.strays[len(left):])
	m.strays = left
	m.endIfAlone()
}

// kill kills them, and not the children of the zygote, which may be in its process group
// too. It reads /proc.
func (s *strays) kill() {
	children := (&reaper{proc: "/proc/self"}).children()
	for _, pid := range children {
		if group, err := unix.Getpgid(pid); err == nil && group == s.group && (s.wait < 0 || s.wait == pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}
