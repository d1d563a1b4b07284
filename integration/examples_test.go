package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"prefork/internal/needtool"
)

// occupy listens at the address, or returns nil if the address is in use.
func occupy(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil
	}
	return l
}

// freePort returns an address that is not in use. Its port is not in the range
// from which the kernel chooses, so that no other test gets it meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l := occupy(t, address); l != nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// waitServing waits until the address accepts connections. It is for servers
// without a control socket.
func waitServing(t *testing.T, s *Server, network, address string) {
	t.Helper()
	Wait(t, "a server at "+address, func() (bool, string) {
		if s.Exited() {
			t.Fatal("the server exited")
		}
		conn, err := net.Dial(network, address)
		if err != nil {
			return false, err.Error()
		}
		_ = conn.Close()
		return true, ""
	})
}

// example builds and starts an example at a free address.
func example(t *testing.T, name string, args ...string) (s *Server, address string) {
	t.Helper()
	address = freePort(t)
	command := exec.Command(Program(t, "prefork/examples/"+name), append(args, "-listen", "tcp://"+address)...)
	s = StartCommand(t, "", command)
	waitServing(t, s, "tcp", address)
	return s, address
}

// drain stops an example with TERM.
func drain(t *testing.T, s *Server) {
	t.Helper()
	s.Signal(15)
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d after TERM", code)
	}
}

func TestExampleEcho(t *testing.T) {
	const address = "127.0.0.1:9999" // a constant in the example, to keep it at fifteen lines
	if l := occupy(t, address); l != nil {
		_ = l.Close()
	} else {
		needtool.Skip(t, "port 9999 is in use")
	}
	s := StartCommand(t, "", exec.Command(Program(t, "prefork/examples/echo")))
	waitServing(t, s, "tcp", address)
	client := DialClient(t, "tcp", address)
	for i := range 100 {
		text := fmt.Sprintf("line %d %s", i, strings.Repeat("x", i*100))
		if answer := client.Ask(text); answer != text {
			t.Fatalf("echo of %d bytes differs", len(text))
		}
	}
	_ = client.Close()
	drain(t, s)
}

// A profile is a gzip file that is written when its worker ends.
func TestExampleProfileWritesOneOfEachWorker(t *testing.T) {
	dir, address := t.TempDir(), freePort(t)
	s := StartCommand(t, "", exec.Command(Program(t, "prefork/examples/profile"), "-listen", "tcp://"+address, "threading", dir))
	waitServing(t, s, "tcp", address)
	if answer, err := Asks("tcp", address, "hello"); answer != "HELLO" {
		t.Errorf("%q, %v", answer, err)
	}
	drain(t, s)
	files, err := filepath.Glob(filepath.Join(dir, "cpu-*.pprof"))
	if err != nil || len(files) != runtime.NumCPU() {
		t.Errorf("files %v, %v", files, err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(data, []byte("\x1f\x8b")) {
			t.Errorf("%s is no profile: %q, %v", file, data, err)
		}
	}
}

func TestExampleUpper(t *testing.T) {
	s, address := example(t, "upper")
	t.Run("python", func(t *testing.T) { runPythonClient(t, address) })
	for i := range 10 {
		text := fmt.Sprintf("hello world %d", i)
		if answer, err := Asks("tcp", address, text); answer != strings.ToUpper(text) {
			t.Errorf("%q: %q, %v", text, answer, err)
		}
	}
	drain(t, s)
}

func TestExampleHTTPServer(t *testing.T) {
	s, address := example(t, "httpserver")
	client := &http.Client{Timeout: Patience, Transport: &http.Transport{}}
	for range 20 {
		response, err := client.Get("http://" + address + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || len(body) == 0 {
			t.Fatalf("HTTP %d, %q, %v", response.StatusCode, body, err)
		}
	}
	client.CloseIdleConnections()
	drain(t, s)
}

// resp sends one command in the Redis protocol. It returns the first line of
// the answer, or the second line if the answer is a bulk string.
func resp(conn net.Conn, in *bufio.Reader, words ...string) (string, error) {
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	first, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	first = strings.TrimSuffix(first, "\r\n")
	if first[0] != '$' || first == "$-1" {
		return first, nil
	}
	second, err := in.ReadString('\n')
	return strings.TrimSuffix(second, "\r\n"), err
}

func TestExampleRedis(t *testing.T) {
	for _, mode := range []string{"event", "threading"} {
		t.Run(mode, func(t *testing.T) { testExampleRedis(t, mode) })
	}
}

func testExampleRedis(t *testing.T, mode string) {
	t.Helper()
	s, address := example(t, "redis", "-mode", mode)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for _, step := range []struct{ command, want string }{
		{"PING", "+PONG"},
		{"ECHO hello", "hello"},
		{"GET key", "$-1"},
		{"SET key value", "+OK"},
		{"GET key", "value"},
		{"INCR n", ":1"},
		{"INCR n", ":2"},
		{"DEL key n absent", ":2"},
		{"GET key", "$-1"},
		{"SET word letters", "+OK"},
	} {
		if got, err := resp(conn, in, strings.Fields(step.command)...); got != step.want {
			t.Errorf("%s: %q, %v; want %q", step.command, got, err, step.want)
		}
	}
	for _, wrong := range []string{"INCR word", "NOSUCH", "GET"} {
		if got, err := resp(conn, in, strings.Fields(wrong)...); !strings.HasPrefix(got, "-ERR") {
			t.Errorf("%s: %q, %v; want an error", wrong, got, err)
		}
	}
	_ = conn.Close()
	t.Run("redis-benchmark", func(t *testing.T) { runRedisBenchmark(t, address) })
	drain(t, s)
}

func runRedisBenchmark(t *testing.T, address string) {
	t.Helper()
	benchmark := needtool.Need(t, "redis-benchmark", "redis-tools")
	host, port, _ := strings.Cut(address, ":")
	for _, pipeline := range []string{"1", "16"} {
		code, stdout, stderr := execute(t, exec.Command(benchmark, "-h", host, "-p", port,
			"-t", "ping,set,get,incr", "-c", "20", "-n", fmt.Sprint(times(5000)), "-P", pipeline, "-q"))
		if code != 0 || strings.Contains(strings.ToLower(stdout+stderr), "error") {
			t.Errorf("redis-benchmark -P %s: exit %d, %q, %q", pipeline, code, stdout, stderr)
		}
		for _, name := range []string{"PING", "SET", "GET", "INCR"} {
			if !strings.Contains(stdout, name) {
				t.Errorf("redis-benchmark -P %s has no result for %s: %q", pipeline, name, stdout)
			}
		}
	}
}
