package master

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/internal/testdir"
)

// freeAddress returns an address with a free port, which may be taken later.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// If the reload fails, no client has been accepted at the new address.
func TestAFailedReloadCompletesNoHandshakeAtItsNewAddress(t *testing.T) {
	at, path := freeAddress(t), testdir.Short(t)+"/s"
	g := generationOf(1, "", "tcp://127.0.0.1:0")
	next := generationOf(1, "silent", "tcp://"+at, "unix://"+path)
	next.Policy.StartTimeout = 300 * time.Millisecond
	r := start(t, Options{Generation: g, Load: func(context.Context) (Generation, error) { return next, nil }})
	r.serves(1)
	done := make(chan Answer, 1)
	go func() {
		_, a := r.post("reload")
		done <- a
	}()
	for tried := 0; ; tried++ {
		for network, address := range map[string]string{"tcp": at, "unix": path} {
			if c, err := net.Dial(network, address); err == nil {
				c.Close()
				t.Fatalf("a client was let in at %s", address)
			} else if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
				t.Fatal(err)
			}
		}
		select {
		case a := <-done:
			if a.OK || !strings.Contains(a.Error, "not ready") {
				t.Errorf("reload = %+v", a)
			}
			t.Logf("tried %d times", tried)
			return
		default:
		}
	}
}

// Another process may take an address between bind and listen.
func TestAnAddressTakenBetweenBindAndListenFailsTheReload(t *testing.T) {
	at := freeAddress(t)
	next := generationOf(1, "", "tcp://"+at)
	next.Worker, _ = json.Marshal(fault{Do: "take", At: at})
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load:       func(context.Context) (Generation, error) { return next, nil },
	})
	r.serves(1)
	_, a := r.post("reload")
	if a.OK || !strings.Contains(a.Error, "address already in use") || !strings.Contains(a.Error, at) {
		t.Errorf("reload = %+v", a)
	}
	r.serves(1)
}

// The status and the log use the name in the new configuration.
func TestAKeptListenerGetsTheNewConfiguredName(t *testing.T) {
	at := freeAddress(t)
	listen := []string{"tcp4://" + at, "tcp://127.0.0.1:0"}
	next := generationOf(1, "", listen...)
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://"+at),
		Load: func(context.Context) (Generation, error) {
			return next, nil
		},
	})
	r.serves(1)
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, a := r.post("reload"); !a.OK {
		t.Fatalf("reload: %s", a.Error)
	}
	s := r.serves(1)
	var names []string
	queued := 0
	for _, l := range s.Listeners {
		names = append(names, l.Name)
		queued += l.Queued
	}
	if got, want := strings.Join(names, " "), strings.Join(listen, " "); got != want || queued != 1 {
		t.Errorf("listeners %s, %d queued; want %s, 1", got, queued, want)
	}
	text, _ := json.Marshal(r.logText())
	for _, name := range append(listen, "tcp://"+at) {
		if n := strings.Count(string(text), `\"listener\":\"`+name); n == 0 {
			t.Errorf("the log does not have %s:\n%s", name, r.logText())
		}
	}
}
