package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
)

// answer sends input as one client and returns all replies.
func answer(s *store, input string) (string, error) {
	var out bytes.Buffer
	err := (&executor{store: s}).serve(strings.NewReader(input), &out)
	return out.String(), err
}

func TestCommandsAnswerAsRedisDoes(t *testing.T) {
	s := newStore(storeLimit)
	for _, step := range []struct{ ask, want string }{
		{"PING", "+PONG\r\n"},
		{"ping hello", "$5\r\nhello\r\n"},
		{"Echo hello", "$5\r\nhello\r\n"},
		{"GET k", "$-1\r\n"},
		{"SET k v", "+OK\r\n"},
		{"GET k", "$1\r\nv\r\n"},
		{`SET k ""`, "+OK\r\n"},
		{"GET k", "$0\r\n\r\n"},
		{"INCR k", "-ERR value is not an integer or out of range\r\n"},
		{"INCR n", ":1\r\n"},
		{"INCR n", ":2\r\n"},
		{"GET n", "$1\r\n2\r\n"},
		{"SET n 010", "+OK\r\n"},
		{"INCR n", "-ERR value is not an integer or out of range\r\n"},
		{"SET n -1", "+OK\r\n"},
		{"INCR n", ":0\r\n"},
		{fmt.Sprintf("SET n %d", math.MaxInt64), "+OK\r\n"},
		{"INCR n", "-ERR increment or decrement would overflow\r\n"},
		{"DEL k n absent n", ":2\r\n"},
		{"CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
		{"config get appendonly", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"},
		{"CONFIG GET port", "*0\r\n"},
		{"CONFIG SET save 1", "-ERR only CONFIG GET with one name is supported\r\n"},
		{"COMMAND DOCS", "*0\r\n"},
		{"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
		{"SET k v EX 10", "-ERR wrong number of arguments for 'set' command\r\n"},
		{`"no\r\nsuch"`, "-ERR unknown command 'no  such'\r\n"},
		{strings.Repeat("x", 500), "-ERR unknown command '" + strings.Repeat("x", 128) + "'\r\n"},
		{"", ""},
	} {
		if got, err := answer(s, step.ask+"\r\n"); got != step.want || err != nil {
			t.Errorf("%.60s: %q, %v; want %q", step.ask, got, err, step.want)
		}
	}
	if s.used != 0 || len(s.values) != 0 {
		t.Errorf("the store has %d bytes and %d keys, want none", s.used, len(s.values))
	}
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	got, err := answer(newStore(storeLimit), "PING\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\nINCR a\r\n")
	if want := "+PONG\r\n:1\r\n:2\r\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestQuitEndsTheConnection(t *testing.T) {
	if got, err := answer(newStore(storeLimit), "QUIT\r\nPING\r\n"); got != "+OK\r\n" || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestABrokenProtocolIsAnsweredAndEndsTheConnection(t *testing.T) {
	got, err := answer(newStore(storeLimit), "PING\r\n*1\r\n$x\r\nPING\r\n")
	if want := "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var broken protocolError
	if !errors.As(err, &broken) {
		t.Errorf("ended with %v", err)
	}
}

func TestAFullStoreRefusesGrowthButCanShrink(t *testing.T) {
	s := newStore(3 * (entryCost + 10))
	for i := range 3 {
		if err := s.set(fmt.Appendf(nil, "k%d", i), []byte("12345678")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.set([]byte("k3"), nil); !errors.Is(err, errFull) {
		t.Errorf("a fourth key: %v", err)
	}
	if err := s.set([]byte("k0"), []byte("123456789")); !errors.Is(err, errFull) {
		t.Errorf("a larger value: %v", err)
	}
	if got := string(s.get([]byte("k0"))); got != "12345678" {
		t.Errorf("a refused value left %q", got)
	}
	if err := s.set([]byte("k0"), []byte("1")); err != nil {
		t.Errorf("a smaller value: %v", err)
	}
	if !s.del([]byte("k1")) || s.set([]byte("k3"), []byte("1")) != nil {
		t.Error("a deleted key made no room")
	}
}

func TestConcurrentIncrLosesNoCount(t *testing.T) {
	s := newStore(storeLimit)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if _, err := s.incr([]byte("n")); err != nil {
					t.Error(err)
				}
				_ = s.get([]byte("n"))
			}
		})
	}
	all.Wait()
	if got := string(s.get([]byte("n"))); got != "8000" {
		t.Errorf("counted %s, want 8000", got)
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	name := []byte("INCR")
	if n := testing.AllocsPerRun(100, func() { find(name) }); n > 0 {
		t.Errorf("%v allocations a command", n)
	}
}
