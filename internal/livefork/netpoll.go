package livefork

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// netpoller is the epoll instance of Go's runtime and what it holds.
type netpoller struct {
	epoll, event int            // descriptors
	events       uint32         // of the event descriptor
	data         uint64         // the address by which the runtime knows it
	info         int            // /proc/self/fdinfo/EPOLL
	text         [procSize]byte // what info said when the state was proven
	length       int
}

// startNetpoller makes the runtime create its netpoller, as each timer does, so that it
// cannot come into being unseen later.
func startNetpoller() { time.AfterFunc(time.Hour, func() {}).Stop() }

// find looks for the netpoller among all descriptors and checks what it holds.
func (p *netpoller) find() *Condition {
	dir, err := rawOpen("/proc/self/fd", unix.O_DIRECTORY)
	if err != nil {
		return condition(Platform, "open /proc/self/fd: %v", err)
	}
	defer rawClose(uintptr(dir))
	all, err := rawEntries(dir)
	if err != nil {
		return condition(Platform, "list /proc/self/fd: %v", err)
	}
	epoll := -1
	for _, fd := range all {
		if linkOf(fd) != "anon_inode:[eventpoll]" {
			continue
		}
		if epoll >= 0 {
			return condition(Netpoller, "there is a second epoll instance (descriptors %d and %d)", epoll, fd)
		}
		epoll = fd
	}
	if epoll < 0 {
		return condition(Netpoller, "the network poller of the runtime was not found")
	}
	return p.open(epoll)
}

func (p *netpoller) open(epoll int) *Condition {
	if epoll != p.epoll || p.info < 0 {
		p.close()
		info, err := rawOpen("/proc/self/fdinfo/"+strconv.Itoa(epoll), 0)
		if err != nil {
			return condition(Platform, "open /proc/self/fdinfo: %v", err)
		}
		p.epoll, p.info = epoll, info
	}
	p.length = rawRead(p.info, &p.text)
	held, err := parseInterest(p.text[:p.length])
	if err != nil {
		return condition(Platform, "%v", err)
	}
	own := -1
	for i, h := range held {
		if link := linkOf(h.fd); link != "anon_inode:[eventfd]" || h.data < 1<<16 || own >= 0 {
			return condition(Netpoller, "the network poller holds descriptor %d (%s)", h.fd, link)
		}
		own = i
	}
	if own < 0 {
		return condition(Netpoller, "the network poller lacks its own event descriptor")
	}
	p.event, p.events, p.data = held[own].fd, held[own].events, held[own].data
	return nil
}

// changed reports whether the netpoller holds something else than when it was proven.
func (p *netpoller) changed(buf *[procSize]byte) bool {
	n := rawRead(p.info, buf)
	return n != p.length || !bytes.Equal(buf[:n], p.text[:n])
}

func (p *netpoller) close() {
	if p.info >= 0 {
		rawClose(uintptr(p.info))
		p.info = -1
	}
}

// renew gives a child a netpoller of its own under the same numbers.
func (p *netpoller) renew() error {
	epoll, _, errno := syscall.RawSyscall(unix.SYS_EPOLL_CREATE1, unix.EPOLL_CLOEXEC, 0, 0)
	if errno != 0 {
		return fmt.Errorf("create epoll instance: %w", errno)
	}
	// A wake-up that is pending in the runtime's memory must be in the descriptor too. If
	// none is, the runtime wakes once for nothing.
	event, _, errno := syscall.RawSyscall(unix.SYS_EVENTFD2, 1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK, 0)
	if errno != 0 {
		return fmt.Errorf("create eventfd: %w", errno)
	}
	if err := move(event, p.event); err != nil {
		return err
	}
	if err := move(epoll, p.epoll); err != nil {
		return err
	}
	interest := unix.EpollEvent{Events: p.events &^ (unix.EPOLLERR | unix.EPOLLHUP)}
	*(*uint64)(unsafe.Pointer(&interest.Fd)) = p.data
	_, _, errno = syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.epoll), unix.EPOLL_CTL_ADD, uintptr(p.event),
		uintptr(unsafe.Pointer(&interest)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("register eventfd: %w", errno)
	}
	return nil
}

func move(from uintptr, to int) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_DUP3, from, uintptr(to), unix.O_CLOEXEC)
	rawClose(from)
	if errno != 0 {
		return fmt.Errorf("replace descriptor %d: %w", to, errno)
	}
	return nil
}

type interest struct {
	fd     int
	events uint32
	data   uint64
}

// parseInterest reads the fdinfo of an epoll instance.
func parseInterest(text []byte) ([]interest, error) {
	if len(text) == procSize {
		text = text[:bytes.LastIndexByte(text, '\n')+1] // there is more than fits
	}
	var all []interest
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("tfd:")) {
			continue
		}
		var i interest
		if _, err := fmt.Sscanf(strings.Join(strings.Fields(string(line)), " "), "tfd: %d events: %x data: %x", &i.fd, &i.events, &i.data); err != nil {
			return nil, fmt.Errorf("read fdinfo of epoll: %w", err)
		}
		all = append(all, i)
	}
	return all, nil
}

func linkOf(fd int) string { return rawReadlink("/proc/self/fd/" + strconv.Itoa(fd)) }
