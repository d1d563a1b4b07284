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

// answerTime bounds a connect and an answer. While a listener drops new
// handshakes, the client's kernel repeats the SYN after 1, 3, 7, 15 and 31 s.
const answerTime = time.Minute

// Clients is a load on a server with the handler upper: each client connects,
// sends some lines, reads each back in upper case and closes the connection. The
// engine of `prefork load` runs it on a thread in the container's network.
type Clients struct {
	Machine *Machine
	Network string // "tcp"
	Address string
	Count   int           // clients at the same time; default 1
	Lines   int           // lines on a connection; default 1
	Pause   time.Duration // between two lines and between two connections; default 5 ms

	running *integration.Running
}

// Start starts the clients. They run until Stop is called.
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

// Tally returns the counts so far.
func (c *Clients) Tally() *integration.Tally { return c.running.Tally() }

// Longest returns the longest time that a client waited for an answer. The
// clients must have been stopped.
func (c *Clients) Longest() time.Duration { return c.running.Longest() }

// Stop lets each client finish its line and returns the final tally.
func (c *Clients) Stop() *integration.Tally { return c.running.Stop() }

var lines atomic.Uint64

// exchange sends one line and checks the answer.
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

// Request is a request in progress. It sends a line slowly, letter by letter, so
// that its connection is never idle.
type Request struct {
	conn  net.Conn
	start time.Time
	end   chan struct{}
	sent  chan error
	text  strings.Builder // owned by sendSlowly until it sends on sent
}

// Begin connects and sends the beginning of a line.
func (m *Machine) Begin(network, address string) (*Request, error) {
	conn, err := m.Dial(network, address, answerTime)
	if err != nil {
		return nil, err
	}
	r := &Request{conn: conn, start: time.Now(), end: make(chan struct{}), sent: make(chan error, 1)}
	if err := r.send("begun "); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go r.sendSlowly()
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

// sendSlowly sends a letter every half second until Finish is called.
func (r *Request) sendSlowly() {
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

// Age returns the time since the request began.
func (r *Request) Age() time.Duration { return time.Since(r.start) }

// Finish sends the end of the line, checks the answer and closes the connection.
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
