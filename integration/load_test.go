package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// shortProbation is a probation for tests that reload many times.
const shortProbation = 50 * time.Millisecond

// The tests of this file prove that the load clients detect each kind of
// failure. Otherwise a tally without failures would prove nothing.

// serveTCP calls serve for each connection until the test ends and returns the
// address of the listener.
func serveTCP(t *testing.T, serve func(c *net.TCPConn, n int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				serve(c.(*net.TCPConn), n)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// upper reads lines and sends what answer returns for the n-th line, until
// answer returns false.
func upper(c *net.TCPConn, answer func(n int, line string) (string, bool)) {
	in := bufio.NewReader(c)
	for n := 1; ; n++ {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		reply, more := answer(n, strings.TrimSuffix(text, "\n"))
		if _, err := io.WriteString(c, reply); err != nil || !more {
			return
		}
	}
}

// correctAnswer answers as the test server's line program does.
func correctAnswer(_ int, text string) (string, bool) {
	if text == "pid" {
		return "1234\n", true
	}
	return strings.ToUpper(strings.TrimPrefix(text, "upper ")) + "\n", true
}

func TestLoadClientsDetectEveryKindOfFailure(t *testing.T) {
	reset := func(c *net.TCPConn, _ int) {
		_, _ = c.Read(make([]byte, 100))
		_ = c.SetLinger(0) // close sends RST
	}
	eof := func(c *net.TCPConn, _ int) { _, _ = bufio.NewReader(c).ReadString('\n') }
	spoil := func(with string, more bool) func(*net.TCPConn, int) {
		return func(c *net.TCPConn, _ int) {
			upper(c, func(n int, text string) (string, bool) {
				if n == 3 || text != "pid" && n == 1 {
					return with, more
				}
				return correctAnswer(n, text)
			})
		}
	}
	httpShort := func(c *net.TCPConn, _ int) {
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nTOKEN")
	}
	httpUnannounced := func(c *net.TCPConn, _ int) { // closes after one answer without Connection: close
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		body := strings.Repeat(strings.ToUpper(request.FormValue("text")), 100)
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}
	for _, test := range []struct {
		name  string
		kind  Kind
		serve func(*net.TCPConn, int)
		want  Outcome
	}{
		{"reset", PerRequest, reset, Reset},
		{"reset", KeepAlive, reset, Reset},
		{"end before the answer", PerRequest, eof, EOF},
		{"half an answer", PerRequest, spoil("TOK", false), Short},
		{"half an answer", KeepAlive, httpShort, Short},
		{"wrong answer", PerRequest, spoil("TOKEN-0\n", true), Wrong},
		{"wrong answer later", Persistent, spoil("TOKEN-0\n", true), Wrong},
		{"end after two answers", Persistent, spoil("", false), EOF},
		{"no answer", PerRequest, spoil("", true), Timeout},
		{"unannounced close of keep-alive", KeepAlive, httpUnannounced, EOF},
	} {
		t.Run(test.name+", "+string(test.kind), func(t *testing.T) {
			t.Parallel()
			address := serveTCP(t, test.serve)
			timeout := Patience // a slow machine must not cause a timeout
			if test.want == Timeout {
				timeout = 300 * time.Millisecond
			}
			load := Load{Kind: test.kind, Address: address, Clients: 2, Pause: time.Millisecond, Timeout: timeout}.Start(t.Context())
			waitTally(t, load, string(test.want), func(tally *Tally) bool { return tally.Count(test.want) >= 2 })
			tally := load.Stop()
			if others := tally.Bad() - tally.Count(test.want); others != 0 {
				t.Errorf("%d failures of another kind: %v", others, tally)
			}
		})
	}
}

func TestLoadClientsCountRefusals(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	for _, kind := range []Kind{Persistent, PerRequest, KeepAlive} {
		load := Load{Kind: kind, Address: address, Clients: 1, Pause: time.Millisecond}.Start(t.Context())
		waitTally(t, load, "refused", func(tally *Tally) bool { return tally.Count(NoListener) >= 2 })
		if tally := load.Stop(); tally.Lost() != 0 || tally.Bad() == 0 {
			t.Errorf("%s: want refusals and no lost request: %v", kind, tally)
		}
	}
}

func TestLoadClientsReportNoFailureOfAGoodServer(t *testing.T) {
	address := serveTCP(t, func(c *net.TCPConn, _ int) { upper(c, correctAnswer) })
	for _, load := range []Load{
		{Kind: Persistent, PerConn: 5}, {Kind: Persistent}, {Kind: PerRequest},
	} {
		load.Address, load.Clients, load.Pause = address, 4, time.Millisecond
		run := load.Start(t.Context())
		waitTally(t, run, "200 answers", func(tally *Tally) bool { return tally.Count(OK) >= 200 })
		if tally := run.Stop(); tally.Bad() != 0 {
			t.Errorf("%s: %v", load.Kind, tally)
		}
	}
}

func TestLostRequestsAreCountedByWorker(t *testing.T) {
	address := serveTCP(t, func(c *net.TCPConn, n int) {
		upper(c, func(line int, text string) (string, bool) {
			if line == 3 {
				return "", false
			}
			return correctAnswer(line, text)
		})
	})
	load := Load{Kind: Persistent, Address: address, Clients: 1, Pause: time.Millisecond}.Start(t.Context())
	waitTally(t, load, "a loss", func(tally *Tally) bool { return tally.Lost() > 0 })
	if by := load.Stop().LostBy(); by[1234] == 0 || len(by) != 1 {
		t.Errorf("lost by worker: %v, want all by 1234", by)
	}
}

// waitTally waits until the load's tally satisfies cond.
func waitTally(t *testing.T, load *Running, what string, cond func(*Tally) bool) {
	t.Helper()
	Wait(t, what+" in the tally of "+string(load.Load.Kind)+" clients", func() (bool, string) {
		return cond(load.Tally()), load.Tally().String()
	})
}

// waitOK waits until n more requests of each load have been answered.
func waitOK(t *testing.T, n int, loads ...*Running) {
	t.Helper()
	for _, load := range loads {
		enough := load.Tally().Count(OK) + n
		waitTally(t, load, fmt.Sprintf("%d good answers", enough), func(tally *Tally) bool { return tally.Count(OK) >= enough })
	}
}

// mustAllSucceed stops the loads and fails the test unless every request was
// answered correctly.
func mustAllSucceed(t *testing.T, loads ...*Running) {
	t.Helper()
	for _, load := range loads {
		tally := load.Stop()
		if tally.Bad() != 0 || tally.Count(OK) == 0 {
			t.Errorf("%s clients: %v", load.Load.Kind, tally)
			continue
		}
		t.Logf("%s clients: %v", load.Load.Kind, tally)
	}
}

// startLoads starts a load of each kind, slow enough for a machine with two
// cores.
func startLoads(ctx context.Context, network, address string, kinds ...Kind) []*Running {
	var loads []*Running
	for _, kind := range kinds {
		load := Load{Kind: kind, Network: network, Address: address, Clients: 8, Pause: 5 * time.Millisecond}
		if kind == Persistent {
			load.PerConn = 40
		}
		loads = append(loads, load.Start(ctx))
	}
	return loads
}
