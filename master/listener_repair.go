package master

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
	"prefork/master/policy"
)

// upkeep is what the master knows of a listener that it does not want to be
// changed. The socket is shared: a worker, or a library in it that writes to a
// wrong descriptor, can shut it down, put a filter on it, shorten its queue or
// make it blocking, for all.
type listenerState struct {
	depth   int            // of the queue, as the kernel has it
	options map[string]int // by the name in sharedOptions; one that the kernel does not know is absent
	broken  string         // why it cannot be repaired
}

// sharedOptions are the options of a TCP listener that decide who can connect,
// and those that each connection inherits and a client would feel. What is not
// here costs speed at the most, or cannot be read.
var sharedOptions = []struct {
	name          string
	level, option int
}{
	{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX},
	{"IP_MINTTL", unix.IPPROTO_IP, unix.IP_MINTTL},
	{"IPV6_MINHOPCOUNT", unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT},
	{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL},
	{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS},
	{"SO_LINGER", unix.SOL_SOCKET, unix.SO_LINGER},
	{"SO_RCVLOWAT", unix.SOL_SOCKET, unix.SO_RCVLOWAT},
	{"SO_DONTROUTE", unix.SOL_SOCKET, unix.SO_DONTROUTE},
	{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	{"SO_MAX_PACING_RATE", unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE},
	{"TCP_CORK", unix.IPPROTO_TCP, unix.TCP_CORK},
	{"TCP_DEFER_ACCEPT", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT},
	{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY},
	{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
}

// readOption returns an option as one number.
func readOption(fd, level, option int) (int, error) {
	if option != unix.SO_LINGER || level != unix.SOL_SOCKET {
		return unix.GetsockoptInt(fd, level, option)
	}
	l, err := unix.GetsockoptLinger(fd, level, option)
	if err != nil || l.Onoff == 0 {
		return lingerOff, err
	}
	return int(l.Linger), nil
}

// writeOption sets what readOption has returned.
func writeOption(fd, level, option, value int) error {
	if option != unix.SO_LINGER || level != unix.SOL_SOCKET {
		return unix.SetsockoptInt(fd, level, option, value)
	}
	l := unix.Linger{}
	if value != lingerOff {
		l = unix.Linger{Onoff: 1, Linger: int32(value)}
	}
	return unix.SetsockoptLinger(fd, level, option, &l)
}

const lingerOff = -1

// expect notes what the listener is when it begins to listen.
func (l *listener) recordState() {
	l.recordDepth()
	if l.network != "tcp" {
		return
	}
	l.expected.options = map[string]int{}
	for _, o := range sharedOptions {
		if value, err := readOption(l.fd, o.level, o.option); err == nil {
			l.expected.options[o.name] = value
		}
	}
}

// expectDepth notes how long the queue is.
func (l *listener) recordDepth() {
	l.expected.depth = l.backlog
	if l.network != "tcp" {
		return
	}
	if info, err := unix.GetsockoptTCPInfo(l.fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		l.expected.depth = int(info.Sacked) // for a listening socket: listen(2)'s argument, capped
	}
}

// refit changes what a reload may change, the file aside.
func (l *listener) update(a Address, backlog int) error {
	if l.external {
		return nil
	}
	if l.network == "tcp" {
		info, err := unix.GetsockoptTCPInfo(l.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State != unix.BPF_TCP_LISTEN {
			err = errors.New("it does not listen") // and would at another port; the next sample repairs it
		}
		if err != nil {
			return err
		}
	}
	if err := unix.Listen(l.fd, backlog); err != nil { // only changes the length of the queue
		return err
	}
	l.backlog = backlog
	l.recordDepth() // nothing else: a worker may have changed it since the last sample
	if l.path != "" {
		l.path, l.address = a.Path, a.Path // the same file, perhaps by another way
	}
	return nil
}

// repairListeners looks at all listeners and undoes what the master has not
// done itself.
func (m *Master) repairListeners() {
	closed, replace := false, false
	for l := range m.sockets() {
		if !l.listening || l.quiesced || l.expected.broken != "" {
			continue
		}
		wrong, err := l.repair(m.samePort)
		if err != nil {
			l.expected.broken = err.Error()
			if l.external {
				m.log.Error("passed socket broken, restart its socket unit", zap.String("listener", l.name), zap.Error(err))
			} else {
				m.log.Error("listener cannot be repaired", zap.String("listener", l.name), zap.Error(err))
				replace = true
			}
			continue
		}
		if len(wrong) > 0 {
			m.log.Warn("listener repaired", zap.String("listener", l.name), zap.String("error", strings.Join(wrong, ", ")))
		}
		if slices.Contains(wrong, wasShut) {
			delete(m.stored, l.storeKey()) // a service manager forgets a socket that hangs up
			closed = true
		}
	}
	if closed {
		m.syncStore()
	}
	if replace {
		m.replaceListeners()
	}
}

// socketFiles lists the listeners of the serving generation that clients find by
// a file, each with a copy for a goroutine that looks whether it is there.
func (m *Master) socketFiles() map[*listener]*listener {
	files := map[*listener]*listener{}
	for _, l := range m.current.listeners {
		if l.path != "" && !l.external && l.listening && !l.quiesced && l.expected.broken == "" {
			file := *l
			files[l] = &file
		}
	}
	return files
}

// lostFiles takes note of listeners whose files were removed or replaced, but not
// during a reload, which may be what replaces them.
func (m *Master) lostFiles(lost map[*listener]*listener) {
	if m.machine.State() != policy.Running {
		return
	}
	replace := false
	for l, file := range lost {
		// It may have been left or renamed meanwhile.
		if m.current.has(l) && l.path == file.path && !l.quiesced && l.expected.broken == "" {
			l.expected.broken = "its file was removed or replaced"
			m.log.Error("listener cannot be repaired", zap.String("listener", l.name), zap.String("error", l.expected.broken))
			replace = true
		}
	}
	if replace {
		m.replaceListeners()
	}
}

// replaceInterval is how often a reload may replace broken listeners. A worker
// that breaks each new one must not make the server reload without end.
const replaceInterval = time.Minute

// replaceListeners asks for a reload, whose generation gets new sockets in the
// place of broken ones.
func (m *Master) replaceListeners() {
	if !m.lastReplace.IsZero() && time.Since(m.lastReplace) < replaceInterval {
		m.log.Error("listener not replaced, reload to replace it", zap.Duration("duration", replaceInterval))
		return
	}
	m.lastReplace = time.Now()
	m.log.Warn("reloading to replace a listener")
	m.step(policy.Reload{})
}

// degraded says which listener of the serving generation is broken.
func (m *Master) degraded() string {
	for _, l := range m.current.listeners {
		switch {
		case l.expected.broken == "":
		case l.external:
			return fmt.Sprintf("listener %s is broken: %s; restart its socket unit", l.name, l.expected.broken)
		default:
			return fmt.Sprintf("listener %s is broken: %s; reload to replace it", l.name, l.expected.broken)
		}
	}
	return ""
}

// What repair finds.
const (
	wasShut      = "it did not listen, and what was queued is lost"
	wasFiltered  = "a filter was on it"
	wasChanged   = "was changed" // after the option's name
	wasShortened = "its queue had another length"
	wasBlocking  = "it was blocking"
	wasOpen      = "it took descriptors from clients"
)

// repair makes the listener again what the master made of it, and says what was
// wrong. An error is of what cannot be undone. rivals are the listeners of ours
// that have the port.
func (l *listener) repair(rivals func(*listener) []*listener) (wrong []string, err error) {
	flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if flags&unix.O_NONBLOCK == 0 {
		wrong = append(wrong, wasBlocking)
		if err := unix.SetNonblock(l.fd, true); err != nil {
			return wrong, err
		}
	}
	if l.network != "tcp" {
		if on, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS); err == nil && on != 0 {
			wrong = append(wrong, wasOpen)
			ipc.RefuseDescriptors(l.fd)
		}
		return wrong, l.repairUnix()
	}
	info, err := unix.GetsockoptTCPInfo(l.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return wrong, err
	}
	switch {
	case info.State != unix.BPF_TCP_LISTEN:
		wrong = append(wrong, wasShut)
		err = l.relisten(rivals(l))
	case int(info.Sacked) != l.expected.depth:
		wrong = append(wrong, wasShortened)
		err = unix.Listen(l.fd, l.backlog)
	}
	if err != nil {
		return wrong, err
	}
	if what, err := l.removeFilter(); what != "" {
		wrong = append(wrong, what)
		if err != nil {
			return wrong, fmt.Errorf("%s: %w", what, err)
		}
	}
	changed, err := l.restoreOptions()
	return append(wrong, changed...), err
}

// relisten undoes shutdown(2).
func (l *listener) relisten(rivals []*listener) error {
	_, sa := l.bound.sockaddr()
	return sharePort(l.fd, rivals, func() error {
		// A port that the kernel chose is given back by a shutdown, any other
		// is still bound, which is EINVAL.
		if err := unix.Bind(l.fd, sa); err != nil && !errors.Is(err, unix.EINVAL) {
			return err
		}
		return unix.Listen(l.fd, l.backlog)
	})
}

func (l *listener) removeFilter() (string, error) {
	// Asked for no instruction, the kernel says how many there are. EACCES is
	// a program that it does not give away.
	n, err := filterLength(l.fd)
	if n == 0 && !errors.Is(err, unix.EACCES) {
		return "", nil // or a kernel that cannot say
	}
	return wasFiltered, unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
}

// restoreOptions gives the options the values that they had.
func (l *listener) restoreOptions() (wrong []string, err error) {
	for _, o := range sharedOptions {
		want, known := l.expected.options[o.name]
		if !known {
			continue
		}
		if value, err := readOption(l.fd, o.level, o.option); err != nil || value == want {
			continue
		}
		what := o.name + " " + wasChanged
		wrong = append(wrong, what)
		if err := writeOption(l.fd, o.level, o.option, want); err != nil {
			return wrong, fmt.Errorf("%s: %w", what, err)
		}
	}
	return wrong, nil
}

// repairUnix sets the length of the queue, which the kernel does not tell.
func (l *listener) repairUnix() error {
	poll := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLRDHUP}}
	if _, err := unix.Poll(poll, 0); err == nil && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) != 0 {
		return errors.New("it was shut down, which cannot be undone for a Unix socket")
	}
	if l.external {
		return nil
	}
	return unix.Listen(l.fd, l.backlog)
}
