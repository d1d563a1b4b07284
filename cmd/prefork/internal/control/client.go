package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"prefork"
)

// Client talks to one server. It may be used from several goroutines. Close closes
// its descriptors.
type Client struct {
	path string
	http *http.Client

	mu     sync.Mutex
	server *os.File // that answered first, if the kernel says
}

// NewClient returns a client of the control socket at path. It connects when
// asked something.
func NewClient(path string) *Client {
	c := &Client{path: path}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:       c.dial,
		DisableKeepAlives: true,
	}}
	return c
}

// Close closes idle connections and the server's pidfd.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		_ = c.server.Close()
		c.server = nil
	}
}

// dial connects, and opens the process on the other side before it is sent anything
// that could end it.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := connect(ctx, c.path)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		c.server = peer(conn)
	}
	return conn, nil
}

// busyTime is how long to try again while the queue of the control socket is
// full, which the kernel says at once for a Unix socket.
const busyTime = 3 * time.Second

func connect(ctx context.Context, path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, busyTime)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// maxAnswer bounds what is read of an answer: a status line of 4096 workers is
// about 2 MB.
const maxAnswer = 16 << 20

// Status returns the server's status, and the JSON as it came, but with what does
// not print escaped.
func (c *Client) Status(ctx context.Context) (prefork.Status, []byte, error) {
	var s prefork.Status
	body, err := c.call(ctx, http.MethodGet, "status", nil, &s)
	return s, escaped(body), err
}

// Command sends a command and waits for its outcome. The error is the server's
// reason if it refused or failed.
func (c *Client) Command(ctx context.Context, name string, query url.Values) (prefork.Answer, error) {
	var a prefork.Answer
	body, err := c.call(ctx, http.MethodPost, name, query, &a)
	if err == nil && !a.OK {
		err = refusal(http.StatusOK, body)
	}
	return a, err
}

// End sends drain or stop and waits until the server's process is gone.
func (c *Client) End(ctx context.Context, name string) error {
	_, err := c.Command(ctx, name, nil)
	// A server that stops may be gone before it has answered.
	if err != nil && !(name == "stop" && errors.Is(err, errLost)) {
		return err
	}
	c.mu.Lock()
	server := c.server
	c.mu.Unlock()
	if server == nil {
		return err
	}
	return wait(ctx, server)
}

// errLost says that the server took the request and ended without an answer.
var errLost = errors.New("the server ended the connection without an answer")

// request makes a request and returns an answer with status 200. The caller closes
// its body.
func (c *Client) request(ctx context.Context, method, name string, query url.Values) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "prefork", Path: "/v1/" + name, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what came of it is shown
		return nil, refusal(resp.StatusCode, body)
	}
	return resp, nil
}

// call makes a request and decodes the answer into v.
func (c *Client) call(ctx context.Context, method, name string, query url.Values, v any) ([]byte, error) {
	resp, err := c.request(ctx, method, name, query)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.explain(ctx, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	if err := decode(body, v); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return body, nil
}

// explain says why there is no answer.
func (c *Client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return fmt.Errorf("%w: %w", errLost, unwrapURL(err))
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("no server at %s: there is no such socket", c.path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no server at %s: nothing listens there any more", c.path)
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
		return fmt.Errorf("no permission to use %s: ask as the server's user or as root", c.path)
	}
	return fmt.Errorf("connect to %s: %w", c.path, op.Err)
}

// unwrapURL drops the made-up URL that net/http puts before its errors.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refusal is the server's reason, or its HTTP status if it gave none.
func refusal(code int, body []byte) error {
	var a prefork.Answer
	if decode(body, &a) == nil && a.Error != "" {
		return errors.New(a.Error)
	}
	if code == http.StatusNotFound {
		return errors.New("the server does not know this command; it may be another version of prefork")
	}
	text := strings.TrimSpace(string(bytes.ToValidUTF8(body[:min(len(body), 200)], nil)))
	return fmt.Errorf("the server answered %d %s: %q", code, http.StatusText(code), text)
}

// peer opens the process that listens on the other side: the one that called listen
// (SO_PEERCRED in unix(7)). It returns nil if that is invisible, as in another PID
// namespace.
func peer(conn net.Conn) *os.File {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil
	}
	pid := 0
	if err := raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	}); err != nil || pid <= 0 || pid == os.Getpid() {
		return nil // a process cannot wait for its own end
	}
	return openProcess(pid)
}
