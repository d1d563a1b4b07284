package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"prefork"
)

// server is a running `prefork serve`.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of the log
	seen  []string
}

// serve starts a server and waits until it is running.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: preforkCommand(t, append([]string{"serve", "--log-format", "json"}, args...)...), lines: make(chan string, 1024)}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.lines)
		for scan := bufio.NewScanner(stderr); scan.Scan(); {
			s.lines <- scan.Text()
		}
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // does nothing if it has ended
		_, _ = io.Copy(io.Discard, stderr)
		<-read
		_ = s.cmd.Wait()
	})
	s.log(`"msg":"running"`)
	return s
}

// log waits for a line of the log.
func (s *server) log(part string) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-s.lines:
			s.seen = append(s.seen, line)
			if strings.Contains(line, part) {
				return
			}
			if !ok {
				s.t.Fatalf("the server ended before it logged %s; it logged:\n%s", part, strings.Join(s.seen, "\n"))
			}
		case <-deadline:
			s.t.Fatalf("no %s in the log:\n%s", part, strings.Join(s.seen, "\n"))
		}
	}
}

func status(t *testing.T) prefork.Status {
	t.Helper()
	r := runHere("status", "--json")
	var s prefork.Status
	if r.status != 0 || json.Unmarshal([]byte(r.stdout), &s) != nil {
		t.Fatalf("status: %+v", r)
	}
	return s
}

// exchange sends a line and returns the answer.
func exchange(t *testing.T, address, line string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatalf("answer %q: %v", answer, err)
	}
	return strings.TrimSuffix(answer, "\n")
}

// Every command finds the server by itself.
func TestCommandsServeReloadScaleAndDrainAServer(t *testing.T) {
	dir := place(t)
	file := filepath.Join(dir, "p.toml")
	const reload = "[reload]\nprobation = \"1ms\"\n"
	write(t, file, "listen = \"tcp://127.0.0.1:0\"\nworkers = 1\n"+reload)
	s := serve(t, "--config", file)
	before := status(t)
	address := before.Listeners[0].Address
	if got := exchange(t, address, "hello"); got != "HELLO" {
		t.Errorf("answer %q, want HELLO", got)
	}

	write(t, file, "listen = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\nworkers = 2\n"+reload)
	if r := runHere("reload"); r.status != 0 || r.stdout != "reloaded: generation 2 serves\n" {
		t.Fatalf("reload: %+v", r)
	}
	// With such a short probation, the answer may come while the old worker still
	// accepts.
	got, deadline := "", time.Now().Add(20*time.Second)
	for got != "hello" && time.Now().Before(deadline) {
		got = exchange(t, address, "hello")
	}
	if got != "hello" {
		t.Errorf("answer %q, want hello: the handler is echo now", got)
	}

	write(t, file, "handler = \"ecko\"\n")
	r := runHere("reload")
	if want := file + `:1: handler: unknown handler "ecko"; did you mean "echo"?`; r.status != 1 || !strings.Contains(r.stderr, want) {
		t.Errorf("reload of a bad file: %+v, want status 1 and %s", r, want)
	}
	after := status(t)
	if after.Generation != 2 || after.LastReload.OK || !strings.Contains(after.LastReload.Error, "ecko") {
		t.Errorf("status after a bad reload: generation %d, last reload %+v", after.Generation, after.LastReload)
	}
	if r := runHere("scale", "+1"); r.status != 0 || r.stdout != "scaled: 3 workers\n" {
		t.Errorf("scale +1: %+v", r)
	}
	if r := runHere("scale", "-1"); r.status != 0 || r.stdout != "scaled: 2 workers\n" {
		t.Errorf("scale -1: %+v", r)
	}
	if r := runHere("drain"); r.status != 0 || r.stdout != "drained: the server has ended\n" {
		t.Fatalf("drain: %+v", r)
	}
	// drain waits for the process, so it is at most a zombie now.
	if state, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/stat"); err == nil && !strings.Contains(string(state), ") Z ") {
		t.Errorf("drain returned, but the process still runs: %s", state)
	}
}

func TestTheControlSocketStaysWhereItIsWhenAReloadChangesTheFirstAddress(t *testing.T) {
	dir := place(t)
	file := filepath.Join(dir, "p.toml")
	const rest = "workers = 1\n[reload]\nprobation = \"1ms\"\n"
	write(t, file, "listen = \"unix://"+dir+"/a\"\n"+rest)
	serve(t, "--config", file)
	write(t, file, "listen = \"unix://"+dir+"/b\"\n"+rest)
	if r := runHere("reload"); r.status != 0 {
		t.Fatalf("reload: %+v", r)
	}
	if r := runHere("reload"); r.status != 0 {
		t.Errorf("the server is lost: %+v", r)
	}
	if r := runHere("stop"); r.status != 0 {
		t.Errorf("stop: %+v", r)
	}
}

func TestFlagsStayOverTheFileInAReload(t *testing.T) {
	dir := place(t)
	file := filepath.Join(dir, "p.toml")
	write(t, file, "workers = 1\n[reload]\nprobation = \"1ms\"\n")
	serve(t, "--config", file, "--listen", "unix://"+dir+"/s", "--workers", "2")
	write(t, file, "workers = 3\nlisten = \"tcp://127.0.0.1:1\"\n[reload]\nprobation = \"1ms\"\n")
	if r := runHere("reload"); r.status != 0 {
		t.Fatalf("reload: %+v", r)
	}
	if s := status(t); s.Target != "2" || s.Listeners[0].Name != "unix://"+dir+"/s" {
		t.Errorf("target %s, listeners %+v, want the flags'", s.Target, s.Listeners)
	}
	if r := runHere("stop"); r.status != 0 {
		t.Errorf("stop: %+v", r)
	}
}
