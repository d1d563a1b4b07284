package master

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
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
	open []*controlClient // oldest first; guarded by mu
}

type controlClient struct {
	conn    net.Conn
	peer    *unix.Ucred // nil if unknown
	clients *controlClients
	waits   bool // for an answer of the master; guarded by clients.mu
}

// clientKey is the key of the controlClient in a request's context.
type clientKey struct{}

// opened is the server's ConnContext.
func (l *controlClients) opened(ctx context.Context, conn net.Conn) context.Context {
	c := &controlClient{conn: conn, peer: peerOf(conn), clients: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxControlClients {
		victim := l.victim().conn
		l.remove(victim)
		_ = victim.Close()
	}
	l.open = append(l.open, c)
	return context.WithValue(ctx, clientKey{}, c)
}

// state is the server's ConnState.
func (l *controlClients) state(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		l.mu.Lock()
		l.remove(conn)
		l.mu.Unlock()
	}
}

// remove removes the client with this connection. The caller holds mu.
func (l *controlClients) remove(conn net.Conn) {
	l.open = slices.DeleteFunc(l.open, func(c *controlClient) bool { return c.conn == conn })
}

// victim chooses the client to close. The caller holds mu.
func (l *controlClients) victim() *controlClient {
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

func (c *controlClient) pid() int32 {
	if c.peer == nil {
		return 0
	}
	return c.peer.Pid
}

// mayCommand reports whether the client is the server's own user or root.
func (c *controlClient) mayCommand() bool {
	return c.peer != nil && (c.peer.Uid == 0 || int(c.peer.Uid) == os.Geteuid())
}

// answering records whether the client waits for an answer.
func (c *controlClient) answering(on bool) {
	c.clients.mu.Lock()
	c.waits = on
	c.clients.mu.Unlock()
}

// peerOf returns the credentials of c's peer, or nil if the kernel does not
// know them.
func peerOf(c net.Conn) (peer *unix.Ucred) {
	uc, ok := c.(*net.UnixConn)
	if !ok || onDescriptor(uc, func(fd int) (err error) {
		peer, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	}) != nil {
		return nil
	}
	return peer
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
		if c, ok := r.Context().Value(clientKey{}).(*controlClient); ok {
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
