package worker

import (
	"time"

	"golang.org/x/sys/unix"
)

// If unread bytes are in the socket, close sends a reset, which destroys an answer
// that is still under way: a client that sent too long a line would not learn why it
// was refused. So the worker first shuts down its own side. If the client has sent
// more, or the handler failed and may not have read everything, the connection
// lingers: the worker reads for a while and discards what comes. The connection no
// longer counts as active then.
const (
	lingerTime   = time.Second
	lingerBytes  = 1 << 20
	maxLingering = 256 // connections at once
)

// shutdown is shutdown_request. It closes c, or says that linger must be called;
// then c counts as lingering.
func (w *worker) shutdown(c *Conn, failed bool) (linger bool) {
	if c.closed.Load() {
		return false
	}
	if !c.readEnded.Load() && c.endWrite() == nil && w.shouldLinger(c, failed) {
		if w.table.lingering.Add(1) <= maxLingering {
			return true
		}
		w.table.lingering.Add(-1)
	}
	_ = c.Close()
	return false
}

// shouldLinger says whether close would probably send a reset.
func (w *worker) shouldLinger(c *Conn, failed bool) bool {
	var b [1]byte
	n, err := c.tryRead(b[:])
	switch {
	case n > 0:
		return true
	case err == unix.EAGAIN:
		return failed
	}
	return false
}

// linger discards what the client sends until it closes as well. c is not in the
// table any more, so no sweep changes its deadline.
func (w *worker) linger(c *Conn) {
	defer func() {
		_ = c.Close()
		w.table.lingering.Add(-1)
		w.table.wakeLoop()
	}()
	if err := c.file.SetReadDeadline(time.Now().Add(lingerTime)); err != nil {
		return
	}
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for total := 0; total < lingerBytes; {
		n, err := c.file.Read(buf[:])
		if err != nil {
			return
		}
		total += n
	}
}

// cut closes a connection while its handler runs, and says whether it was open.
// Close waits for system calls on the descriptor, so it is on a goroutine.
func (c *Conn) cut() bool {
	if c.closed.Load() || c.wasCut.Swap(true) {
		return false
	}
	c.table.countEnd(c, true)
	go func() { _ = c.Close() }()
	return true
}
