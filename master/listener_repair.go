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

// listenerState is what a listener should be. Workers share the socket: one of
// them, or a library in it that uses a wrong descriptor, can shut it down, put
// a filter on it, shorten its queue or make it blocking, for all.
type listenerState struct {
	depth   int            // of the queue, from the kernel
	options map[string]int // by name in sharedOptions; unknown to the kernel if absent
	broken  string         // why it cannot be repaired
}

// sharedOptions are the options of a TCP listener that decide who can connect,
// and those that connections inherit and clients would notice. The others only
// affect speed, or cannot be read.
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

// readOption returns an option as a number.
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

// writeOption sets a value from readOption.
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

// recordState records the listener's state when it begins to listen.
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

// recordDepth records the length of the queue.
func (l *listener) recordDepth() {
	l.expected.depth = l.backlog
	if l.network != "tcp" {
		return
	}
	if info, err := unix.GetsockoptTCPInfo(l.fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		l.expected.depth = int(info.Sacked) // for a listening socket: listen(2)'s argument, capped
	}
}

// update applies a new configuration, except to the file.
func (l *listener) update(a Address, backlog int) error {
	if l.external {
		return nil
	}
	if l.network == "tcp" {
		info, err := unix.GetsockoptTCPInfo(l.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.State != unix.BPF_TCP_LISTEN {
			err = errors.New("it does not listen") // and would do so at another port; the next sample repairs it
		}
		if err != nil {
			return err
		}
	}
	if err := unix.Listen(l.fd, backlog); err != nil { // changes only the length of the queue
		return err
	}
	l.backlog = backlog
	l.recordDepth() // not the options: a worker may have changed them
	if l.path != "" {
		l.path, l.address = a.Path, a.Path // the same file, perhaps by another way
	}
	return nil
}

// repairListeners undoes changes to listeners that the master did not make.
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
			delete(m.stored, l.storeKey()) // systemd removes a socket that hangs up
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

// socketFiles returns the serving generation's listeners that have a file, each
// with a copy for another goroutine to check.
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

// lostFiles marks listeners whose files were removed or replaced. It does
// nothing during a reload, which may be what replaces them.
func (m *Master) lostFiles(lost map[*listener]*listener) {
	if m.machine.State() != policy.Running {
		return
	}
	replace := false
	for l, file := range lost {
		// Another generation may serve by now.
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

// replaceInterval limits how often a reload replaces broken listeners: a worker
// may break each new one.
const replaceInterval = time.Minute

// replaceListeners requests a reload, whose generation gets new sockets instead
// of broken ones.
func (m *Master) replaceListeners() {
	if !m.lastReplace.IsZero() && time.Since(m.lastReplace) < replaceInterval {
		m.log.Error("listener not replaced, reload to replace it", zap.Duration("duration", replaceInterval))
		return
	}
	m.lastReplace = time.Now()
	m.log.Warn("reloading to replace a listener")
	m.step(policy.Reload{})
}

// degraded returns which listener of the serving generation is broken.
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

// Repairs, for the log:
const (
	wasShut      = "it did not listen, and what was queued is lost"
	wasFiltered  = "a filter was on it"
	wasChanged   = "was changed" // after the option's name
	wasShortened = "its queue had another length"
	wasBlocking  = "it was blocking"
	wasOpen      = "it accepted descriptors from clients"
)

// repair restores the listener and says what was wrong. An error is something
// that cannot be undone.
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
		// After a shutdown the socket is still bound (EINVAL), unless the kernel
		// had chosen the port.
		if err := unix.Bind(l.fd, sa); err != nil && !errors.Is(err, unix.EINVAL) {
			return err
		}
		return unix.Listen(l.fd, l.backlog)
	})
}

func (l *listener) removeFilter() (string, error) {
	// EACCES means a program that cannot be read.
	n, err := filterLength(l.fd)
	if n == 0 && !errors.Is(err, unix.EACCES) {
		return "", nil // or the kernel does not know the option
	}
	return wasFiltered, unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
}

// restoreOptions sets the options back to their values.
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

// repairUnix sets the length of the queue, which the kernel does not show.
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
