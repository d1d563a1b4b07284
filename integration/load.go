package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is a way to load a server.
type Kind string

// The kinds of load.
const (
	// Persistent clients send line after line on one connection and hang up
	// after Load.PerConn of them.
	Persistent Kind = "persistent"
	// PerRequest clients connect, send one line, read the answer and close.
	PerRequest Kind = "per request"
	// KeepAlive clients speak HTTP/1.1 on one connection until an answer says
	// Connection: close. They never retry.
	KeepAlive Kind = "keep-alive"
)

// Load describes a number of clients that do the same thing.
type Load struct {
	Kind    Kind
	Network string // "tcp"
	Address string
	Clients int
	Pause   time.Duration // between two requests of one client: the machine is small
	PerConn int           // requests on a Persistent connection; 0: as many as there are
	Timeout time.Duration // of a connect, and of an answer; 10 s
	// Dial bounds a connect, if that is to differ from Timeout.
	Dial time.Duration
}

// Running is a load under way.
type Running struct {
	Load  Load
	tally *Tally
	stop  chan struct{}
	once  sync.Once
	group sync.WaitGroup
}

// Start sets the clients going. They run until Stop, or until ctx ends.
func (l Load) Start(ctx context.Context) *Running {
	if l.Network == "" {
		l.Network = "tcp"
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Second
	}
	if l.Dial == 0 {
		l.Dial = l.Timeout
	}
	r := &Running{Load: l, tally: NewTally(), stop: make(chan struct{})}
	for i := range l.Clients {
		r.group.Go(func() { r.client(ctx, i) })
	}
	return r
}

// Tally returns what has been counted so far.
func (r *Running) Tally() *Tally { return r.tally }

// Stop lets each client finish its request and returns the final tally.
func (r *Running) Stop() *Tally {
	r.once.Do(func() { close(r.stop) })
	r.group.Wait()
	return r.tally
}

// stopping waits for the pause between two requests.
func (r *Running) stopping(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-r.stop:
		return true
	case <-ctx.Done():
		return true
	case <-timer.C:
		return false
	}
}

var tokens atomic.Uint64

// client opens one connection after the other.
func (r *Running) client(ctx context.Context, i int) {
	for !r.stopping(ctx, r.Load.Pause) {
		c := &connection{run: r, name: fmt.Sprintf("%s client %d", r.Load.Kind, i)}
		if c.open(ctx) {
			c.use(ctx)
			_ = c.conn.Close()
		}
	}
}

// connection is one connection of one client.
type connection struct {
	run  *Running
	name string
	conn net.Conn
	in   *bufio.Reader
	peer int // pid of the worker, once known
}

func (c *connection) open(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: c.run.Load.Dial}
	conn, err := dialer.DialContext(ctx, c.run.Load.Network, c.run.Load.Address)
	if err != nil {
		outcome := ClassifyDial(err)
		if ctx.Err() == nil {
			c.run.tally.Add(outcome, 0, "%s: connect: %v", c.name, err)
		}
		return false
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return true
}

// use sends requests until the client wants or must hang up.
func (c *connection) use(ctx context.Context) {
	for n := 0; ; n++ {
		limit := c.run.Load.PerConn
		if n > 0 && (c.run.Load.Kind == PerRequest || limit > 0 && n >= limit || c.run.stopping(ctx, c.run.Load.Pause)) {
			return
		}
		more, err := c.request(n)
		if err != nil {
			c.run.tally.Add(Classify(err), c.peer, "%s from %v: request %d of the connection: %v", c.name, c.conn.LocalAddr(), n+1, err)
			return
		}
		c.run.tally.Add(OK, c.peer, "")
		if !more {
			return
		}
	}
}

// request asks once and checks the answer, letter by letter.
func (c *connection) request(n int) (more bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.run.Load.Timeout)); err != nil {
		return false, err
	}
	token := "token-" + strconv.FormatUint(tokens.Add(1), 10)
	if c.run.Load.Kind == KeepAlive {
		return c.get(token)
	}
	if c.run.Load.Kind == Persistent && n == 0 {
		answer, err := c.line("pid")
		if err != nil {
			return false, err
		}
		if c.peer, err = strconv.Atoi(answer); err != nil {
			return false, fmt.Errorf("%w: pid %q", errWrong, answer)
		}
		return true, nil
	}
	answer, err := c.line("upper " + token)
	if err != nil {
		return false, err
	}
	if want := strings.ToUpper(token); answer != want {
		return false, fmt.Errorf("%w: got %q, want %q", errWrong, answer, want)
	}
	return true, nil
}

func (c *connection) line(request string) (string, error) {
	if _, err := io.WriteString(c.conn, request+"\n"); err != nil {
		return "", err
	}
	answer, err := c.in.ReadString('\n')
	if err == io.EOF && answer != "" {
		return "", fmt.Errorf("%w: %q", io.ErrUnexpectedEOF, answer)
	}
	return strings.TrimSuffix(answer, "\n"), err
}

func (c *connection) get(token string) (more bool, err error) {
	if _, err := fmt.Fprintf(c.conn, "GET /upper?text=%s HTTP/1.1\r\nHost: test\r\n\r\n", token); err != nil {
		return false, err
	}
	if _, err := c.in.Peek(1); err != nil {
		return false, err // no byte of an answer, unlike an answer cut short
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return false, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err
	}
	_ = response.Body.Close()
	if want := strings.Repeat(strings.ToUpper(token), 100); response.StatusCode != http.StatusOK || string(body) != want {
		return false, fmt.Errorf("%w: HTTP %d, %.40q", errWrong, response.StatusCode, body)
	}
	return !response.Close, nil
}

var errWrong = errors.New("wrong answer")
