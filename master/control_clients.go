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

// The limits of the control socket. Whoever may connect to it may command the
// server, but a client that is broken must not cost the master its descriptors,
// nor keep an operator out.
const (
	maxControlClients = 64
	controlBody       = 16 << 10         // bytes of a request's body
	controlPatience   = 10 * time.Second // for a request to come in, and for each write of an answer
)

// controlClients are the connections of the control socket. If there are too
// many a new one takes the place of another: of the process that has the most
// connections, the one that is idle or, if none is, the oldest. A process that
// floods the socket loses its own connections, not those of others.
type controlClients struct {
	mu   sync.Mutex
	open []*controlConn // oldest first
}

// controlListener accepts them.
type controlListener struct {
	net.Listener
	clients *controlClients
}

// controlConn is the connection of one client.
type controlConn struct {
	net.Conn
	clients *controlClients
	peer    *unix.Ucred // nil if the kernel does not say
	waits   bool        // for the master to answer; guarded by clients.mu
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

// add registers c. It returns the client that must be closed to make room, or
// nil.
func (l *controlClients) add(c *controlConn) (evicted *controlConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxControlClients {
		evicted = l.victim()
	}
	l.open = append(l.open, c)
	return evicted
}

// victim chooses the client that is to make room. The caller holds mu.
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

// answering notes whether the client waits for an answer, or the master for the
// client.
func (c *controlConn) answering(on bool) {
	c.clients.mu.Lock()
	c.waits = on
	c.clients.mu.Unlock()
}

// peerOf asks the kernel who is at the other end of c; nil if it does not say.
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

// patiently serves next only once the whole request is there, within
// controlPatience, and bounds the time of each write of the answer.
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

// patientWriter gives each write of an answer its own deadline.
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
