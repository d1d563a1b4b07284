package master

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/master/policy"
)

// controlSocket is the master's control socket. Each request waits on its own
// goroutine for the owner loop, which answers at once.
type controlSocket struct {
	address Address
	server  *http.Server
	serving sync.WaitGroup
	socket  *listener
	accepts net.Listener // of a copy of the socket's descriptor
	clients controlClients
}

// serveControl serves the control socket at path.
func (m *Master) serveControl(path string) (*controlSocket, error) {
	address, err := ParseAddress("unix://" + path)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("control socket: %w", err)}
	}
	address.Mode, address.HasMode = 0o600, true
	c := &controlSocket{address: address, server: &http.Server{
		Handler:           m.controlHandler(),
		ConnContext:       withPeer,
		ReadHeaderTimeout: controlPatience,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(m.log),
	}}
	if err := c.listen(); err != nil {
		return nil, fmt.Errorf("control socket: %w; choose another path with --control", err)
	}
	return c, nil
}

// listen binds the socket and serves it. One that it had before is closed then.
func (c *controlSocket) listen() error {
	socket, err := bindUnix(c.address, defaultBacklog)
	if err != nil {
		return err
	}
	accepts, err := socket.netListener()
	if err != nil {
		socket.close()
		return err
	}
	c.serving.Go(func() { _ = c.server.Serve(&controlListener{accepts, &c.clients}) }) // always an error: it was closed
	if c.socket != nil {
		_ = c.accepts.Close()
		c.socket.close()
	}
	c.socket, c.accepts = socket, accepts
	return nil
}

// restore binds the socket anew if its file was removed or replaced. The end of
// a login session takes the directory away as well.
func (c *controlSocket) restore() (restored bool, err error) {
	if c.socket.reusable() {
		return false, nil
	}
	_ = os.Mkdir(filepath.Dir(c.address.Path), 0o700) // listen says why if it fails and is needed
	err = c.listen()
	return err == nil, err
}

// close lets answers that are under way go out first.
func (c *controlSocket) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close()
	}
	c.serving.Wait()
	c.socket.close()
}

// netListener wraps a copy of the descriptor for code that wants a
// net.Listener. The caller closes both.
func (l *listener) netListener() (net.Listener, error) {
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), l.name)
	defer f.Close()
	return net.FileListener(f)
}

// peerKey is the context's key for the credentials of the peer.
type peerKey struct{}

// connKey is for the connection itself.
type connKey struct{}

// withPeer notes which control connection a request came over, and who is at
// the other end.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	cc, ok := c.(*controlConn)
	if !ok {
		return ctx
	}
	ctx = context.WithValue(ctx, connKey{}, cc)
	if cc.peer != nil {
		ctx = context.WithValue(ctx, peerKey{}, cc.peer)
	}
	return ctx
}

// allowed says whether the peer may command the server: its own user and root.
func allowed(r *http.Request) bool {
	cred, ok := r.Context().Value(peerKey{}).(*unix.Ucred)
	return ok && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid())
}

// controlHandler is the API of the control socket.
func (m *Master) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s, err := m.Status(r.Context())
		if err != nil {
			writeJSON(w, http.StatusServiceUnavailable, Answer{Error: err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, s)
	})
	mux.HandleFunc("GET /v1/stream", m.ServeStream)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ending := true
		if err := m.do(r.Context(), func(m *Master) { ending = m.ending() }); err != nil || ending {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	command := func(name string, f func(r *http.Request) (Answer, error)) {
		mux.HandleFunc("/v1/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", http.MethodPost)
			writeJSON(w, http.StatusMethodNotAllowed, Answer{Error: name + " wants POST"})
		})
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
			answer, err := f(r)
			if err != nil {
				answer = Answer{Error: err.Error()}
			}
			code := http.StatusOK
			if !answer.OK {
				code = http.StatusConflict
			}
			writeJSON(w, code, answer)
		})
	}
	command("reload", func(r *http.Request) (Answer, error) {
		return m.ask(r.Context(), (*waiters).reload, policy.Reload{})
	})
	command("drain", func(r *http.Request) (Answer, error) {
		return m.drain(r.Context())
	})
	command("stop", func(r *http.Request) (Answer, error) {
		return m.ask(r.Context(), (*waiters).drain, policy.Stop{})
	})
	command("scale", m.controlScale)
	command("recycle", func(r *http.Request) (Answer, error) { return m.controlRecycle(r, false) })
	command("drain-worker", func(r *http.Request) (Answer, error) { return m.controlRecycle(r, true) })
	command("log-level", func(r *http.Request) (answer Answer, err error) {
		name := r.FormValue("level")
		doErr := m.do(r.Context(), func(m *Master) {
			answer.Generation = m.current.number
			err = m.setLevel(name)
			answer.OK = err == nil
		})
		if doErr != nil {
			return answer, doErr
		}
		return answer, err
	})
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, Answer{Error: fmt.Sprintf("%s %s is no request of the control socket", r.Method, r.URL.Path)})
	})
	if m.options.ControlHandler != nil {
		mux.Handle("/", m.options.ControlHandler)
	}
	whole := patiently(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r) {
			writeJSON(w, http.StatusForbidden, Answer{Error: "only the server's user and root may use its control socket"})
			return
		}
		whole.ServeHTTP(w, r)
	})
}

// controlScale reads n=4, n=+1 or n=-1. A bare + in a query means a space.
func (m *Master) controlScale(r *http.Request) (Answer, error) {
	text := r.FormValue("n")
	if rest, ok := strings.CutPrefix(text, " "); ok {
		text = "+" + rest
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return Answer{}, fmt.Errorf("n=%q is not a number such as 4, +1 or -1", text)
	}
	absolute := text[0] != '+' && text[0] != '-'
	if absolute && n < 1 {
		return Answer{}, fmt.Errorf("n=%d: at least one worker; to end the server, drain it", n)
	}
	return m.scaleTo(r.Context(), policy.Scale{N: n, Absolute: absolute})
}

// controlRecycle reads slot=N.
func (m *Master) controlRecycle(r *http.Request, now bool) (Answer, error) {
	slot, err := strconv.Atoi(r.FormValue("slot"))
	if err != nil {
		return Answer{}, fmt.Errorf("slot=%q is not a number", r.FormValue("slot"))
	}
	return m.recycle(r.Context(), slot, now)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client has left: nobody to tell
}
