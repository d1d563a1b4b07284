package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Status is the part of GET /v1/status that the tests use. It repeats the names
// of the fields on purpose: they are part of the interface, so a renamed field
// must fail a test.
type Status struct {
	PID        int     `json:"pid"`
	Version    string  `json:"version"`
	State      string  `json:"state"`
	Generation int     `json:"generation"`
	UptimeS    float64 `json:"uptime_s"`
	Mode       string  `json:"mode"`
	Spawn      string  `json:"spawn"`
	Target     string  `json:"target"`
	Listeners  []struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		Queued  int    `json:"queued"`
	} `json:"listeners"`
	Totals struct {
		Accepted uint64 `json:"accepted"`
		Active   int    `json:"active"`
		Handled  uint64 `json:"handled"`
		Failed   uint64 `json:"failed"`
		Rejected uint64 `json:"rejected"`
		BytesIn  uint64 `json:"bytes_in"`
		BytesOut uint64 `json:"bytes_out"`
		Restarts uint64 `json:"restarts"`
	} `json:"totals"`
	Workers    []Worker `json:"workers"`
	LastReload struct {
		OK    bool       `json:"ok"`
		Error string     `json:"error"`
		At    *time.Time `json:"at"`
	} `json:"last_reload"`
	Degraded string `json:"degraded"`
}

// Worker is one row of Status.
type Worker struct {
	Slot       int     `json:"slot"`
	PID        int     `json:"pid"`
	Generation int     `json:"generation"`
	State      string  `json:"state"`
	Active     int     `json:"active"`
	Handled    uint64  `json:"handled"`
	AgeS       float64 `json:"age_s"`
	RSSBytes   uint64  `json:"rss_bytes"`
	HeapBytes  uint64  `json:"heap_bytes"`
	Goroutines int     `json:"goroutines"`
	GOMAXPROCS int     `json:"gomaxprocs"`
	LoopLagS   float64 `json:"loop_lag_s"`
	SilentS    float64 `json:"silent_s"`
	Doing      string  `json:"doing"`
	DoingS     float64 `json:"doing_s"`
}

// String returns one line for the message of a failed Wait.
func (s *Status) String() string {
	if s == nil {
		return "no status"
	}
	line := fmt.Sprintf("%s, generation %d, target %s, %d active, %d restarts, workers:",
		s.State, s.Generation, s.Target, s.Totals.Active, s.Totals.Restarts)
	for _, w := range s.Workers {
		line += fmt.Sprintf(" [%d] %d g%d %s active %d;", w.Slot, w.PID, w.Generation, w.State, w.Active)
	}
	return line
}

// Serving returns the workers of the current generation that are ready or busy.
func (s *Status) Serving() []Worker {
	var serving []Worker
	for _, w := range s.Workers {
		if w.Generation == s.Generation && (w.State == "ready" || w.State == "busy") {
			serving = append(serving, w)
		}
	}
	return serving
}

// Worker returns the row of the worker with that pid, or nil.
func (s *Status) Worker(pid int) *Worker {
	for i := range s.Workers {
		if s.Workers[i].PID == pid {
			return &s.Workers[i]
		}
	}
	return nil
}

// Answer is the answer to a command on the control socket.
type Answer struct {
	Code       int    `json:"-"` // HTTP status
	OK         bool   `json:"ok"`
	Error      string `json:"error"`
	Generation int    `json:"generation"`
	Target     string `json:"target"`
}

// Control is a client of a control socket. It keeps no connection open between
// calls, because tests count the master's descriptors.
type Control struct{ client *http.Client }

// NewControl returns a client of the socket at path.
func NewControl(path string) *Control {
	return &Control{client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// Status gets the status. The master must answer at once in every state.
func (c *Control) Status() (*Status, error) {
	s := new(Status)
	code, err := c.call(http.MethodGet, "/v1/status", 5*time.Second, s)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status: HTTP %d", code)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Health returns the HTTP status of GET /healthz, or 0 and the reason.
func (c *Control) Health() (int, error) {
	return c.call(http.MethodGet, "/healthz", 5*time.Second, nil)
}

// Command sends a command, such as "scale?n=4", and returns the answer when the
// command is done.
func (c *Control) Command(command string) (Answer, error) {
	var a Answer
	code, err := c.call(http.MethodPost, "/v1/"+command, 2*Patience, &a)
	a.Code = code
	return a, err
}

func (c *Control) call(method, path string, limit time.Duration, into any) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://prefork"+path, nil)
	if err != nil {
		return 0, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return response.StatusCode, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if into == nil {
		return response.StatusCode, nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return response.StatusCode, fmt.Errorf("%s %s: answer %q: %w", method, path, body, err)
	}
	return response.StatusCode, nil
}
