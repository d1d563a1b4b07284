package load

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"prefork/internal/needtool"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// server answers each line with what reply makes of it, and closes the
// connection after an empty answer. It returns its address and how many
// connections and lines it has had.
func server(t *testing.T, reply func(line []byte) []byte) (address string, connections, lines *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	connections, lines = new(atomic.Int64), new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadBytes('\n')
					if err != nil {
						return
					}
					lines.Add(1)
					answer := reply(line)
					if _, err := c.Write(answer); err != nil || len(answer) == 0 {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), connections, lines
}

// clients are the two clients: the path of the one in C, "" for the one in Go.
func clients(t *testing.T) map[string]string {
	t.Helper()
	c := filepath.Join(t.TempDir(), "cload")
	out, err := exec.Command(needtool.Need(t, "gcc", "gcc"), "-O2", "-Wall", "-Wextra", "-o", c, "../../peers/cload.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return map[string]string{"Go": "", "C": c}
}

func job(kind Kind, address string) Job {
	return Job{
		Address: address, Kind: kind, Connections: 4, Bytes: 64,
		Warmup: 8, Window: 5 * time.Second, Limit: 200,
	}
}

// do runs a job in a process of its own.
func do(t *testing.T, j Job) (Report, error) {
	t.Helper()
	p, err := Start(j)
	if err != nil {
		return Report{}, err
	}
	r, err := p.Run()
	if closeErr := p.Close(); closeErr != nil {
		t.Error(closeErr)
	}
	return r, err
}

func TestEveryExchangeIsCounted(t *testing.T) {
	for _, c := range []struct {
		kind        Kind
		source      string
		connections int64
	}{
		{Persistent, "", 4},
		{Connect, "127.0.0.9", 208},
	} {
		for name, control := range clients(t) {
			t.Run(name+" "+string(c.kind), func(t *testing.T) {
				address, connections, lines := server(t, bytes.ToUpper)
				j := job(c.kind, address)
				j.Source, j.Control = c.source, control
				r, err := do(t, j)
				if err != nil {
					t.Fatal(err)
				}
				if r.Exchanges != j.Limit {
					t.Errorf("%d exchanges, want %d", r.Exchanges, j.Limit)
				}
				// A persistent connection is warmed up for a time, not for a number of lines.
				if got := lines.Load(); got < int64(j.Limit+j.Warmup) || c.kind == Connect && got != int64(j.Limit+j.Warmup) {
					t.Errorf("the server had %d lines, want %d", got, j.Limit+j.Warmup)
				}
				if got := connections.Load(); got != c.connections {
					t.Errorf("the server had %d connections, want %d", got, c.connections)
				}
				if r.P50 <= 0 || r.P99 < r.P50 || r.Elapsed < r.P99 || r.CPU <= 0 {
					t.Errorf("the report is %+v", r)
				}
			})
		}
	}
}

func TestHeldConnectionsHaveOneExchangeEachAndStay(t *testing.T) {
	address, connections, lines := server(t, bytes.ToUpper)
	j := job(Hold, address)
	j.Connections = 50
	p, err := Start(j)
	if err != nil {
		t.Fatal(err)
	}
	if connections.Load() != 50 || lines.Load() != 50 {
		t.Errorf("%d connections and %d lines, want 50 of each", connections.Load(), lines.Load())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestLinesInAPipelineAreCountedOneByOne(t *testing.T) {
	address, _, lines := server(t, bytes.ToUpper)
	j := job(Persistent, address)
	j.Pipeline = 16
	r, err := do(t, j)
	if err != nil || r.Exchanges != j.Limit || lines.Load() < int64(j.Limit) {
		t.Errorf("%+v, %v; the server had %d lines", r, err, lines.Load())
	}
}

func TestARateIsKept(t *testing.T) {
	address, _, _ := server(t, bytes.ToUpper)
	j := job(Persistent, address)
	j.Rate, j.Window, j.Limit = 1000, 50*time.Millisecond, 1<<20
	r, err := do(t, j)
	if err != nil || r.Exchanges+r.Unsent != 50 {
		t.Errorf("%+v, %v; want 50 exchanges", r, err)
	}
}

func TestTheBodyOfAnHTTPAnswerIsChecked(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "as it is") }))
	defer s.Close()
	for body, want := range map[string]string{"as it is": "", "as it was": "exchanges failed"} {
		j := job(Persistent, s.Listener.Addr().String())
		j.Bytes, j.Path, j.Body = 0, "/", body
		r, err := do(t, j)
		if want == "" && (err != nil || r.Exchanges != j.Limit) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %+v, %v; want %q", body, r, err, want)
		}
	}
}

func TestWindowEndsWithoutALimit(t *testing.T) {
	for name, control := range clients(t) {
		address, _, _ := server(t, bytes.ToUpper)
		j := job(Persistent, address)
		j.Window, j.Limit, j.Control = 20*time.Millisecond, 1<<20, control
		r, err := do(t, j)
		if err != nil || r.Exchanges < j.Connections {
			t.Errorf("%s: %+v, %v; want at least one exchange of each connection", name, r, err)
		}
	}
}

func TestAServerWithAWrongReplyHasNoFigure(t *testing.T) {
	var last []byte
	clients := clients(t)
	for _, c := range []struct {
		what  string
		reply func(line []byte) []byte
		want  string // C's words; Go's are those of the load generator
	}{
		{"not in upper case", func(line []byte) []byte { return line }, "wrong reply"},
		{"one byte wrong", func(line []byte) []byte {
			up := bytes.ToUpper(line)
			up[len(up)-2] ^= 1
			return up
		}, "wrong reply"},
		{"a byte too much", func(line []byte) []byte { return append(bytes.ToUpper(line), '\n') }, "long reply"},
		{"closed too early", func([]byte) []byte { return nil }, "short reply"},
		{"cut in the middle", func(line []byte) []byte { return bytes.ToUpper(line[:10]) }, "no reply"},
		{"the line before", func(line []byte) []byte {
			up := last
			if last = bytes.ToUpper(line); up == nil {
				up = last
			}
			return up
		}, "wrong reply"},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.want == "no reply" && testing.Short() {
				t.Skipf("takes %v", patience)
			}
			t.Parallel()
			for name, control := range clients {
				address, _, _ := server(t, c.reply)
				j := job(Persistent, address)
				j.Connections, j.Warmup, j.Control = 1, 0, control
				last = nil
				r, err := do(t, j)
				if err == nil || !strings.Contains(err.Error(), c.want) && (name == "C" || !strings.Contains(err.Error(), "failed: ")) {
					t.Errorf("%s: report %+v, error %v; want %q", name, r, err, c.want)
				}
			}
		})
	}
}

func TestRefusalIsAnError(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for name, control := range clients(t) {
		for _, kind := range []Kind{Persistent, Connect} {
			j := job(kind, l.Addr().String())
			j.Control = control
			if _, err := do(t, j); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%s, %s: error is %v, want a refusal", name, kind, err)
			}
		}
	}
}

func TestAnInvalidJobIsRefusedWithEveryProblem(t *testing.T) {
	_, err := Start(Job{Address: "nowhere", Source: "x", Kind: "y", Connections: -1})
	if err == nil {
		t.Fatal("it was started")
	}
	for _, what := range []string{"url", "source", "kind", "connections", "bytes", "window", "limit"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("error does not name %s: %v", what, err)
		}
	}
}
