package master

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// client is a control client that keeps its connection open.
func (r *running) connect(say string) net.Conn {
	r.t.Helper()
	c, err := (&net.Dialer{}).DialContext(context.Background(), "unix", r.master.options.Control)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, say); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestControlClientsAreLimited(t *testing.T) {
	for name, say := range map[string]string{
		"silent":      "",
		"half a head": "GET /v1/status HTTP/1.1\r\n",
		"half a body": "POST /v1/scale HTTP/1.1\r\nHost: p\r\nContent-Length: 9\r\n\r\nn",
		"streams":     "GET /v1/stream HTTP/1.1\r\nHost: p\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
			r.serves(1)
			before := countFDs(t)
			const flood = 3 * maxControlClients
			for range flood {
				r.connect(say)
			}
			if code, a := r.post("scale?n=2"); code != http.StatusOK {
				t.Errorf("a command meanwhile: %d %+v", code, a)
			}
			// The descriptors of the clients and of a worker's channel and files
			// are in this process too.
			if held := countFDs(t) - before - flood; held > maxControlClients+8 {
				t.Errorf("the master holds %d descriptors for %d clients", held, flood)
			}
		})
	}
}

func TestANewControlClientReplacesAnIdleOne(t *testing.T) {
	conn := func(pid int32, waits bool) *controlClient {
		return &controlClient{peer: &unix.Ucred{Pid: pid}, waits: waits}
	}
	for name, tt := range map[string]struct {
		open []*controlClient
		want int
	}{
		"the oldest":                    {[]*controlClient{conn(1, false), conn(2, false)}, 0},
		"one that is idle":              {[]*controlClient{conn(1, true), conn(2, false)}, 1},
		"the oldest if all wait":        {[]*controlClient{conn(1, true), conn(2, true)}, 0},
		"of the process with the most":  {[]*controlClient{conn(1, false), conn(2, true), conn(2, true)}, 1},
		"and there one that is idle":    {[]*controlClient{conn(1, false), conn(2, true), conn(2, false)}, 2},
		"any client":                    {[]*controlClient{conn(1, false), {}, {}}, 1},
		"with the most of all, at last": {[]*controlClient{conn(1, false), conn(1, false), conn(3, true), conn(3, true), conn(3, true)}, 2},
	} {
		l := &controlClients{open: tt.open}
		if got := l.victim(); got != tt.open[tt.want] {
			t.Errorf("%s: not number %d", name, tt.want)
		}
	}
}

func TestAControlConnectionIsReused(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	c := r.connect("")
	answers := bufio.NewReader(c)
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: p\r\n\r\n",
		"POST /v1/scale HTTP/1.1\r\nHost: p\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\nn=1",
		"POST /v1/scale HTTP/1.1\r\nHost: p\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("n", 20000),
	} {
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		want := http.StatusOK
		if strings.Contains(request, "20000") {
			want = http.StatusBadRequest
		}
		if resp.StatusCode != want {
			t.Errorf("%.30q: %d %s", request, resp.StatusCode, body)
		}
	}
}

func TestClosedControlClientsAreRemoved(t *testing.T) {
	load := make(chan struct{})
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load: func(context.Context) (Generation, error) {
			<-load
			return generationOf(1, "", "tcp://127.0.0.1:0"), nil
		},
	})
	r.serves(1)
	const many = 10
	var clients []net.Conn
	for range many {
		clients = append(clients, r.connect("POST /v1/reload HTTP/1.1\r\nHost: p\r\nContent-Length: 0\r\n\r\n"))
	}
	waiting := func(n int) func(*Master) bool { return func(m *Master) bool { return len(m.waiting) == n } }
	r.untilLoop("all to wait for the reload", waiting(many))
	for _, c := range clients {
		_ = c.Close()
	}
	r.untilLoop("those who have left to be forgotten", waiting(0))
	close(load)
}
