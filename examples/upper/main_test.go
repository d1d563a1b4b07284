package main

import (
	"io"
	"net"
	"testing"
	"time"

	"prefork"
	"prefork/preforktest"
)

// TestMain runs the server when the test binary is started as a worker.
func TestMain(m *testing.M) {
	preforktest.Main(m, func() *prefork.Server { return newServer(prefork.DefaultListen) })
}

// ask sends text and returns everything that it receives.
func ask(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// The handler runs in this process.
func TestOneLineIsAnsweredInUpperCase(t *testing.T) {
	s := preforktest.Start(t, newServer(prefork.DefaultListen))
	for text, want := range map[string]string{
		"hello\n":        "HELLO\n",
		"hello\nworld\n": "HELLO\n", // only the first line
		"\n":             "\n",
	} {
		if got := ask(t, s.Dial(), text); got != want {
			t.Errorf("answer to %q: %q, want %q", text, got, want)
		}
	}
}

// With the whole server, a client that connects before a reload is answered
// after it.
func TestAReloadDropsNoConnection(t *testing.T) {
	m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Rollout.Probation = time.Millisecond })
	before := m.Dial()
	answer, err := m.Command(t.Context(), "reload")
	if err != nil || !answer.OK {
		t.Fatalf("reload: %+v, %v", answer, err)
	}
	for _, c := range []net.Conn{before, m.Dial()} {
		if got := ask(t, c, "hello\n"); got != "HELLO\n" {
			t.Errorf("got %q", got)
		}
	}
}
