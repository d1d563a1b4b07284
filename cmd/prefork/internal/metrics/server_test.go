package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork"
	"prefork/internal/testdir"
)

func start(t *testing.T, address string, page bool) *Server {
	t.Helper()
	text := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
	}
	status := func(context.Context) (prefork.Status, error) { return prefork.Status{State: "running"}, nil }
	s := &Server{Metrics: Handler(status)}
	if page {
		s.Page, s.Events = text("page"), text("events")
	}
	a, err := ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(a, log.New(io.Discard, "", 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ask sends a request and returns "CODE body".
func ask(t *testing.T, s *Server, method, path, host, body string) string {
	t.Helper()
	addr := s.Addr()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
		},
	}}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", answer.StatusCode, text)
}

func TestTheServerAnswersOnlyGetOfWhatIsConfigured(t *testing.T) {
	plain, paged := start(t, "127.0.0.1:0", false), start(t, "tcp://127.0.0.1:0", true)
	for _, c := range []struct {
		server                   *Server
		method, path, host, body string
		want                     string
	}{
		{plain, "GET", "/metrics", "localhost", "", "200 # HELP"},
		{plain, "HEAD", "/metrics", "localhost", "", "200 "},
		{plain, "GET", "/metrics", "metrics.example", "", "200 "},
		{plain, "GET", "/", "localhost", "", "404"},
		{plain, "GET", "/events", "localhost", "", "404"},
		{plain, "POST", "/metrics", "localhost", "", "405"},
		{plain, "GET", "/metrics", "localhost", "body", "400"},
		{paged, "GET", "/", "localhost:9100", "", "200 page"},
		{paged, "GET", "/", "127.0.0.1", "", "200 page"},
		{paged, "GET", "/events", "[::1]:9100", "", "200 events"},
		{paged, "GET", "/", "rebound.example", "", "403"},
		{paged, "GET", "/events", "rebound.example:9100", "", "403"},
		{paged, "DELETE", "/", "localhost", "", "405"},
		{paged, "GET", "/v1/status", "localhost", "", "404"},
		{paged, "POST", "/v1/stop", "localhost", "", "404"},
	} {
		if got := ask(t, c.server, c.method, c.path, c.host, c.body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s of %s: %q, want %q", c.method, c.path, c.host, got, c.want)
		}
	}
}

func TestAServerThatDoesNotRunFailsTheScrape(t *testing.T) {
	s := &Server{Metrics: Handler(new(prefork.Server).Status)}
	a, err := ParseAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(a, log.Default()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := ask(t, s, "GET", "/metrics", "localhost", ""); !strings.HasPrefix(got, "503 ") {
		t.Errorf("%q, want 503", got)
	}
}

func TestClientsThatOnlyHoldConnectionsAreBounded(t *testing.T) {
	s := start(t, "127.0.0.1:0", false)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		return c
	}
	for range maxClients {
		dial()
	}
	// Connections are accepted in order, so this one is too many.
	if n, err := dial().Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes, want the end of the connection", n)
	}
	_ = held[0].Close()
	for range 1000 { // until the server has noticed the close
		c := dial()
		_, _ = io.WriteString(c, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			return
		}
	}
	t.Error("one connection was closed, but no other is accepted")
}

func TestAnAddressInUseIsNamedInTheError(t *testing.T) {
	s := start(t, "127.0.0.1:0", false)
	a, err := ParseAddress("tcp://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = new(Server).Serve(a, log.Default())
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "metrics: bind tcp://"+s.Addr().String()) {
		t.Errorf("error %v", err)
	}
}

func TestAUnixSocketReplacesOnlyAStaleOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	a, err := ParseAddress("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Server).Serve(a, log.Default()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the socket is in use, but: %v", err)
	}
	_ = left.Close()
	s := start(t, "unix://"+path, true)
	if got := ask(t, s, "GET", "/", "anything", ""); got != "200 page" {
		t.Errorf("over the socket: %q", got)
	}
	s.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := new(Server).Serve(a, log.Default()); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("a regular file has the path, but: %v", err)
	}
}

// A cleaner of /tmp may remove the socket file.
func TestARemovedUnixSocketIsRestored(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "m")
	s := start(t, "unix://"+path, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	restored := make(chan error, 1)
	defer s.Keep(time.Millisecond, func(err error) { restored <- err })()
	if err := <-restored; err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, "GET", "/", "anything", ""); got != "200 page" {
		t.Errorf("over the socket: %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket file: %v, %v; want mode 0660", info.Mode(), err)
	}
}

func TestAddressesAreReadOrRefusedByName(t *testing.T) {
	for _, good := range []string{":9100", "localhost:0", "tcp://[::1]:9100", "tcp4://127.0.0.1:1", "tcp6://[::]:1", "unix:///run/m"} {
		if _, err := ParseAddress(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "9100", "localhost", "tcp://", "tcp://:http", "localhost:65536", "unix://m", "unix:///" + strings.Repeat("x", 200), "http://localhost:1", "systemd:x"} {
		if _, err := ParseAddress(bad); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}
