package master

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The limits of the control socket. Its clients may command the server, but a
// broken one must neither use up the master's descriptors nor keep an operator
// out.
const (
	maxControlClients = 64
	controlBody       = 16 << 10         // bytes of a request's body
	controlPatience   = 10 * time.Second // for a request to arrive, and for each write of an answer
)

// controlClients are the connections of the control socket. If there are too
// many, a new one replaces another one of the process with the most
// connections: an idle one, else the oldest. So a process that floods the
// socket loses its own connections.
type controlClients struct {
	mu   sync.Mutex
	open []*controlConn // oldest first
}

type controlListener struct {
	net.Listener
	clients *controlClients
}

type controlConn struct {
	net.Conn
	clients *controlClients
	peer    *unix.Ucred // nil if unknown
	waits   bool        // for an answer of the master; guarded by clients.mu
}

// Accept implements net.Listener.
func (l *controlListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &controlConn{Conn: conn, clients: l.clients, peer: peerOf(conn)}
	if evicted := l.clients.add(c); evicted != nil {
		_ = evicted.Close()
	}
	return c, nil
}

// add adds c. It returns the client to close to make room, or nil.
func (l *controlClients) add(c *controlConn) (evicted *controlConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxControlClients {
		evicted = l.victim()
	}
	l.open = append(l.open, c)
	return evicted
}

// victim chooses the client to close. The caller holds mu.
func (l *controlClients) victim() *controlConn {
	count := map[int32]int{}
	for _, c := range l.open {
		count[c.pid()]++
	}
	victim := l.open[0]
	for _, c := range l.open {
		switch more := count[c.pid()] - count[victim.pid()]; {
		case more > 0, more == 0 && victim.waits && !c.waits:
			victim = c
		}
	}
	return victim
}

func (c *controlConn) pid() int32 {
	if c.peer == nil {
		return 0
	}
	return c.peer.Pid
}

// Close implements net.Conn.
func (c *controlConn) Close() error {
	l := c.clients
	l.mu.Lock()
	for i, o := range l.open {
		if o == c {
			l.open = append(l.open[:i], l.open[i+1:]...)
			break
		}
	}
	l.mu.Unlock()
	return c.Conn.Close()
}

// answering records whether the client waits for an answer.
func (c *controlConn) answering(on bool) {
	c.clients.mu.Lock()
	c.waits = on
	c.clients.mu.Unlock()
}

// peerOf returns the credentials of c's peer, or nil if the kernel does not
// know them.
func peerOf(c net.Conn) *unix.Ucred {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	_ = raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil {
		return nil
	}
	return cred
}

// patiently calls next when the whole request has arrived, within
// controlPatience, and limits the time of each write.
func patiently(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.SetReadDeadline(time.Now().Add(controlPatience)) // not every writer can
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, controlBody))
		if err != nil {
			writeJSON(w, http.StatusBadRequest, Answer{Error: "read the request: " + err.Error()})
			return
		}
		_ = rc.SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
		if c, ok := r.Context().Value(connKey{}).(*controlConn); ok {
			c.answering(true)
			defer c.answering(false)
		}
		next.ServeHTTP(&patientWriter{w, rc}, r)
		_ = rc.SetWriteDeadline(time.Now().Add(controlPatience)) // for what is still buffered
	})
}

// patientWriter has a deadline for each write.
type patientWriter struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (w *patientWriter) Write(b []byte) (int, error) {
	_ = w.rc.SetWriteDeadline(time.Now().Add(controlPatience))
	return w.ResponseWriter.Write(b)
}

// Unwrap is what http.ResponseController looks for.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
