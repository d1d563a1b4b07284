package systemd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"prefork/integration"
	"prefork/internal/load"
)

// answerTime bounds a connect and an answer. A client whose SYN found the
// listener closed to new handshakes repeats it after 1, 3, 7, 15 and 31 s.
const answerTime = time.Minute

// Clients are a load on a server with the handler upper: each connects, sends
// some lines, reads each back in upper case and hangs up. The engine of
// `prefork load` does it, on a thread in the container's network.
type Clients struct {
	Machine *Machine
	Network string // "tcp"
	Address string
	Count   int           // how many at once; 1
	Lines   int           // on a connection; 1
	Pause   time.Duration // between two lines and between two connections; 5 ms

	running *integration.Running
}

// Start sets the clients going, until Stop.
func (c *Clients) Start() *Clients {
	if c.Network == "" {
		c.Network = "tcp"
	}
	if c.Pause == 0 {
		c.Pause = 5 * time.Millisecond
	}
	address := c.Address
	if c.Network == "unix" {
		address = c.Machine.Path(address)
	}
	c.running = integration.Follow(context.Background(), load.Options{
		URL: c.Network + "://" + address, Connections: max(c.Count, 1), PerConn: max(c.Lines, 1), Pause: c.Pause,
		Timeout: answerTime, Payload: []byte("line number {n}\n"), Template: true, Expect: "upper", OnThread: c.Machine.Enter,
	})
	return c
}

// Tally returns what has been counted so far.
func (c *Clients) Tally() *integration.Tally { return c.running.Tally() }

// Longest returns how long a client waited for an answer, at the worst, once
// all have been stopped.
func (c *Clients) Longest() time.Duration { return c.running.Longest() }

// Stop lets each client finish its line and returns the final tally.
func (c *Clients) Stop() *integration.Tally { return c.running.Stop() }

var lines atomic.Uint64

// exchange sends one line and checks the answer, letter by letter.
func exchange(conn net.Conn, in *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	line := fmt.Sprintf("line number %d\n", lines.Add(1))
	if _, err := io.WriteString(conn, line); err != nil {
		return err
	}
	return expect(in, strings.ToUpper(line))
}

func expect(in *bufio.Reader, want string) error {
	got, err := in.ReadString('\n')
	if err == io.EOF && got != "" {
		return fmt.Errorf("%w: %q", io.ErrUnexpectedEOF, got)
	}
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

// Request is a request under way: a line that comes in slowly, a letter now and
// then, so that its connection is never idle.
type Request struct {
	conn  net.Conn
	begun time.Time
	end   chan struct{}
	sent  chan error
	text  strings.Builder // the sender's until sent
}

// Begin connects and sends the beginning of a line.
func (m *Machine) Begin(network, address string) (*Request, error) {
	conn, err := m.Dial(network, address, answerTime)
	if err != nil {
		return nil, err
	}
	r := &Request{conn: conn, begun: time.Now(), end: make(chan struct{}), sent: make(chan error, 1)}
	if err := r.send("begun "); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go r.trickle()
	return r, nil
}

func (r *Request) send(text string) error {
	r.text.WriteString(text)
	if err := r.conn.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err := io.WriteString(r.conn, text)
	return err
}

// trickle sends a letter each half second, until the end.
func (r *Request) trickle() {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := r.send("x"); err != nil {
				r.sent <- err
				return
			}
		case <-r.end:
			r.sent <- r.send("\n")
			return
		}
	}
}

// Age is how long the request has been under way.
func (r *Request) Age() time.Duration { return time.Since(r.begun) }

// Finish sends the rest of the line, checks the answer, and closes the
// connection.
func (r *Request) Finish() error {
	defer r.conn.Close()
	close(r.end)
	if err := <-r.sent; err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	return expect(bufio.NewReader(r.conn), strings.ToUpper(r.text.String()))
}
