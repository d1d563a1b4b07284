package worker

import (
	"time"

	"golang.org/x/sys/unix"
)

// A close while unread bytes wait in the socket sends a reset, and a reset
// destroys the answer that is still on its way: the client that has sent too
// long a line never learns why it was refused. So the worker first ends its
// own side, and if the client has more to say, or the handler failed and thus
// may not have heard it out, it listens for a while and throws away what comes.
// The connection no longer counts as in hand then.
const (
	lingerTime   = time.Second // after which it is closed at any rate
	lingerBytes  = 1 << 20     // or when so much has been thrown away
	maxLingering = 256         // connections that may linger at once
)

// shutdown is shutdown_request. It closes c, or says that c is to linger: it is
// counted as lingering then, and linger must be called.
func (w *worker) shutdown(c *Conn, failed bool) (linger bool) {
	if c.closed.Load() {
		return false // the handler has closed it, or it was cut
	}
	// If the client has said that it has finished, close alone is as good.
	if !c.readEnded.Load() && c.CloseWrite() == nil && w.shouldLinger(c, failed) {
		if w.table.lingering.Add(1) <= maxLingering {
			return true
		}
		w.table.lingering.Add(-1)
	}
	_ = c.Close() // nothing is left to lose
	return false
}

// shouldLinger says whether the client is likely to be cut short by a close.
func (w *worker) shouldLinger(c *Conn, failed bool) bool {
	var b [1]byte
	n, err := c.tryRead(b[:])
	switch {
	case n > 0:
		return true
	case err == unix.EAGAIN:
		return failed
	}
	return false // EOF, or broken already
}

// linger throws away what the client sends until it closes, too. c is no longer
// in the table, so that no sweep moves its deadline.
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
		// The file and not c: nobody's bytes are not counted.
		n, err := c.file.Read(buf[:])
		if err != nil {
			return
		}
		total += n
	}
}

// cut closes a connection under its handler and says whether it was open. On a
// goroutine, because closing waits until whoever is in a system call on it has
// left.
func (c *Conn) cut() bool {
	if c.closed.Load() || c.wasCut.Swap(true) {
		return false
	}
	c.table.countEnd(c, true)
	go func() { _ = c.Close() }()
	return true
}
