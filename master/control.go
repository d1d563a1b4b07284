package master

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"prefork/master/policy"
)

// controlSocket is the master's control socket. Each request waits on its own
// goroutine for the owner loop.
type controlSocket struct {
	*UnixSocket
	server *http.Server
	ended  chan struct{} // closed when the server accepts no more
}

// serveControl serves the control socket at path.
func (m *Master) serveControl(path string) (*controlSocket, error) {
	socket, err := ListenUnix(path, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w; choose another path with --control", err)
	}
	clients := &controlClients{}
	c := &controlSocket{UnixSocket: socket, ended: make(chan struct{}), server: &http.Server{
		Handler:           m.controlHandler(),
		ConnContext:       clients.opened,
		ConnState:         clients.state,
		ReadHeaderTimeout: controlPatience,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(m.log),
	}}
	go func() {
		defer close(c.ended)
		_ = c.server.Serve(c) // always http.ErrServerClosed
	}()
	return c, nil
}

func (m *Master) keepControl(c *controlSocket) (stop func()) {
	return m.keep(c.restore, func(err error) {
		if err != nil {
			m.log.Warn("control socket not restored", zap.Error(err))
			return
		}
		m.log.Warn("control socket restored", zap.String("path", m.options.Control))
	})
}

// shutdown closes the socket after the answers that are on their way.
func (c *controlSocket) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close()
	}
	<-c.ended
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
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if why := m.unhealthy(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	for name, event := range commands {
		mux.HandleFunc("/v1/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", http.MethodPost)
			writeJSON(w, http.StatusMethodNotAllowed, Answer{Error: name + " wants POST"})
		})
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
			answer, err := m.command(r.Context(), func(id policy.Request) (policy.Event, error) { return event(m, r, id) })
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
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, Answer{Error: fmt.Sprintf("%s %s is not a request of the control socket", r.Method, r.URL.Path)})
	})
	if m.options.ControlHandler != nil {
		mux.Handle("/", m.options.ControlHandler)
	}
	whole := patiently(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(clientKey{}).(*controlClient); !ok || !c.mayCommand() {
			writeJSON(w, http.StatusForbidden, Answer{Error: "only the server's user and root may use its control socket"})
			return
		}
		whole.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // an error means that the client has left
}
