package load

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"prefork/bench/internal/stat"
)

// patience is how long a client waits for any reply at all.
const patience = 5 * time.Second

// client is the load process's one loop. It is used by one goroutine.
type client struct {
	job   Job
	to    syscall.SockaddrInet4
	from  *syscall.SockaddrInet4 // nil: the kernel chooses
	set   int                    // epoll
	conns []conn

	// Of the phase that runs.
	began    time.Time
	until    time.Duration // since began
	limit    int
	begun    int
	finished int
	laps     []time.Duration // of finished exchanges, if they are kept
}

// conn is one connection of the client's.
type conn struct {
	fd       int // -1: none
	message  message
	got      []byte        // of the reply so far
	sent     time.Duration // since the phase began
	greeting bool          // connect is under way, the line not sent
}

// newClient opens what the job needs, for Persistent its connections. The
// caller must close it.
func newClient(job Job) (*client, error) {
	to, source, err := job.endpoints()
	if err != nil {
		return nil, err
	}
	c := &client{job: job, conns: make([]conn, job.Connections), laps: make([]time.Duration, 0, job.Limit)}
	c.to = sockaddr(to)
	if source.IsValid() {
		from := sockaddr(netip.AddrPortFrom(source, 0))
		c.from = &from
	}
	if c.set, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	for i := range c.conns {
		// One byte more than the reply, so that a longer one is seen.
		c.conns[i] = conn{fd: -1, message: newMessage(i, job.Bytes), got: make([]byte, 0, job.Bytes+1)}
	}
	return c, nil
}

func sockaddr(a netip.AddrPort) syscall.SockaddrInet4 {
	return syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// close closes all connections.
func (c *client) close() {
	for i := range c.conns {
		c.drop(i)
	}
	_ = syscall.Close(c.set)
}

// drop closes connection i, if it is open.
func (c *client) drop(i int) {
	if k := &c.conns[i]; k.fd >= 0 {
		_ = syscall.Close(k.fd) // also leaves the epoll set
		k.fd = -1
	}
}

// run runs exchanges until the window has passed or limit of them have begun,
// and until each has its reply. keep says whether their durations are wanted.
func (c *client) run(window time.Duration, limit int, keep bool) error {
	c.until, c.limit, c.begun, c.finished = window, limit, 0, 0
	c.laps = c.laps[:0]
	c.began = time.Now()
	for i := range c.conns {
		if c.begun == limit {
			break
		}
		if err := c.begin(i, 0); err != nil {
			return err
		}
	}
	events := make([]syscall.EpollEvent, len(c.conns))
	for c.finished < c.begun {
		n, err := syscall.EpollWait(c.set, events, int(patience.Milliseconds()))
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("epoll_wait", err)
		case n == 0:
			return fmt.Errorf("no reply within %v; %d exchanges wait", patience, c.begun-c.finished)
		}
		for _, e := range events[:n] {
			if err := c.event(int(e.Fd), keep); err != nil {
				return err
			}
		}
	}
	return nil
}

// event goes on with connection i, which is readable or writable or has
// failed; the next call tells which.
func (c *client) event(i int, keep bool) error {
	k := &c.conns[i]
	if k.greeting {
		return c.greet(i)
	}
	whole, err := k.receive()
	if err != nil {
		return err
	}
	if !whole {
		return nil
	}
	now := time.Since(c.began)
	if keep {
		c.laps = append(c.laps, now-k.sent)
	}
	c.finished++
	k.message.next()
	k.got = k.got[:0]
	if c.job.Kind == Connect {
		c.drop(i)
	}
	if now < c.until && c.begun < c.limit {
		return c.begin(i, now)
	}
	return nil
}

// begin begins an exchange on connection i.
func (c *client) begin(i int, now time.Duration) error {
	k := &c.conns[i]
	c.begun++
	k.sent = now
	if k.fd >= 0 {
		return k.send()
	}
	if err := c.dial(k); err != nil {
		return err
	}
	return c.greet(i)
}

// dial begins to connect.
func (c *client) dial(k *conn) error {
	const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT: connect chooses the port
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	k.fd, k.greeting = fd, true
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("set TCP_NODELAY", err)
	}
	if c.from != nil {
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindAddressNoPort, 1); err != nil {
			return os.NewSyscallError("set IP_BIND_ADDRESS_NO_PORT", err)
		}
		if err := syscall.Bind(fd, c.from); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := syscall.Connect(fd, &c.to); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// greet sends the first line of a new connection. On loopback the connection
// stands as soon as connect returns; if not, the loop waits until it is
// writable. A refusal is the error of this write.
func (c *client) greet(i int) error {
	k := &c.conns[i]
	err := k.send()
	waits := errors.Is(err, syscall.EAGAIN)
	if err != nil && !waits {
		return err
	}
	k.greeting = waits
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}
	if waits {
		event.Events = syscall.EPOLLOUT
	}
	err = syscall.EpollCtl(c.set, syscall.EPOLL_CTL_ADD, k.fd, &event)
	if errors.Is(err, syscall.EEXIST) {
		err = syscall.EpollCtl(c.set, syscall.EPOLL_CTL_MOD, k.fd, &event)
	}
	return os.NewSyscallError("epoll_ctl", err)
}

// send sends the line.
func (k *conn) send() error {
	n, err := syscall.Write(k.fd, k.message.line)
	if err != nil {
		return os.NewSyscallError("send line", err)
	}
	if n < len(k.message.line) {
		return fmt.Errorf("send line: only %d of %d bytes fit the socket", n, len(k.message.line))
	}
	return nil
}

// receive reads what has come of the reply and reports whether that is all.
func (k *conn) receive() (whole bool, err error) {
	n, err := syscall.Read(k.fd, k.got[len(k.got):cap(k.got)])
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return false, nil
	case err != nil:
		return false, os.NewSyscallError("read reply", err)
	case n == 0:
		return false, fmt.Errorf("short reply %q, want %q: %w", k.got, k.message.reply, io.ErrUnexpectedEOF)
	}
	k.got = k.got[:len(k.got)+n]
	return k.message.check(k.got)
}

// report sums up the phase that has ended.
func (c *client) report() Report {
	r := Report{Exchanges: c.finished, Elapsed: time.Since(c.began)}
	slices.Sort(c.laps)
	r.P50, r.P99 = stat.Quantile(c.laps, 0.50), stat.Quantile(c.laps, 0.99)
	return r
}
