package integration

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Client is a connection on which a test sends and receives lines.
type Client struct {
	net.Conn
	in *bufio.Reader
	tb testing.TB
}

// DialClient connects. The connection is closed when the test ends.
func DialClient(tb testing.TB, network, address string) *Client {
	tb.Helper()
	c, err := TryDial(tb, network, address)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// TryDial is DialClient for goroutines, which must not call tb.Fatal.
func TryDial(tb testing.TB, network, address string) (*Client, error) {
	conn, err := net.DialTimeout(network, address, Patience)
	if err != nil {
		return nil, err
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &Client{Conn: conn, in: bufio.NewReader(conn), tb: tb}, nil
}

// Send writes one line.
func (c *Client) Send(line string) {
	c.tb.Helper()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		c.tb.Fatalf("send %q: %v", line, err)
	}
}

// Receive reads one line.
func (c *Client) Receive() string {
	c.tb.Helper()
	line, err := c.ReadLine(Patience)
	if err != nil {
		c.tb.Fatalf("receive: got %q, then: %v", line, err)
	}
	return line
}

// ReadLine reads one line within the limit.
func (c *Client) ReadLine(limit time.Duration) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// Ask sends one line and returns the answer.
func (c *Client) Ask(line string) string {
	c.tb.Helper()
	c.Send(line)
	return c.Receive()
}

// WorkerPID asks which worker serves the connection.
func (c *Client) WorkerPID() int {
	c.tb.Helper()
	answer := c.Ask("pid")
	pid, err := strconv.Atoi(answer)
	if err != nil {
		c.tb.Fatalf("pid: answer %q is not a number", answer)
	}
	return pid
}

// WaitClosed waits until the server has closed the connection and returns the
// error of the read.
func (c *Client) WaitClosed() error {
	c.tb.Helper()
	line, err := c.ReadLine(Patience)
	if err == nil {
		c.tb.Fatalf("got %q, want the connection to be closed", line)
	}
	if outcome := Classify(err); outcome == Timeout {
		c.tb.Fatal("the connection was not closed")
	}
	return err
}

// Asks opens a connection, sends one line, returns the answer and closes the
// connection.
func Asks(network, address, line string) (string, error) {
	conn, err := net.DialTimeout(network, address, Patience)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}
