package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"prefork/internal/testdir"
)

// access holds the fields of an access record that these tests check.
type access struct {
	Listener string `json:"listener"`
	Remote   string `json:"remote"`
	PID      int    `json:"pid"`
	In       int    `json:"bytes_in"`
	Out      int    `json:"bytes_out"`
	Requests int    `json:"requests"`
	Outcome  string `json:"outcome"`
}

// readAccess returns the records of the files. A line that is not a record is
// an error.
func readAccess(t *testing.T, paths ...string) (records []access) {
	t.Helper()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			t.Errorf("%s ends in the middle of a record", path)
		}
		for line := range strings.Lines(string(data)) {
			var r access
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %q: %v", path, line, err)
			}
			records = append(records, r)
		}
	}
	return records
}

func countLines(paths ...string) (n int) {
	for _, path := range paths {
		data, _ := os.ReadFile(path)
		n += strings.Count(string(data), "\n")
	}
	return n
}

// exchangeLine sends one line on a new connection, checks the answer and
// returns the connection's local address.
func exchangeLine(network, address, line string) (local string, err error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	if want := strings.ToUpper(line) + "\n"; err == nil && string(answer) != want {
		err = fmt.Errorf("answer %q, want %q", answer, want)
	}
	return c.LocalAddr().String(), err
}

// connectRepeatedly makes connections from eight goroutines and counts them by
// local address. The first goroutine calls between after each of its
// connections.
func connectRepeatedly(t *testing.T, c *Command, each int, between func(i int)) (connections map[string]int) {
	t.Helper()
	network, address := c.Address("")
	connections = map[string]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range each {
				local, err := exchangeLine(network, address, strings.Repeat("x", 1+n%100))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				connections[local]++
				mu.Unlock()
				if i == 0 {
					between(n)
				}
			}
		})
	}
	group.Wait()
	return connections
}

// Each connection is one whole line, even if the file is rotated and the
// workers are replaced meanwhile.
func TestEachConnectionIsOneLineAcrossRotations(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"threading", "forking", "event"} {
		t.Run(mode, func(t *testing.T) {
			dir := testdir.Short(t)
			path := filepath.Join(dir, "access.log")
			config, each := goodConfig, times(250)
			if mode == "forking" {
				config, each = strings.Replace(config, "workers = 2", "workers = 8", 1), 10
			}
			c := serve(t, config+fmt.Sprintf("mode = %q\n[access]\naccess_log = %q\n", mode, path))
			rotations := 0
			connections := connectRepeatedly(t, c, each, func(n int) {
				switch n % 100 {
				case 3, 43, 83:
					if err := os.Rename(path, fmt.Sprintf("%s.%d", path, rotations)); err != nil {
						t.Error(err)
					}
					rotations++
					c.Signal(syscall.SIGUSR1)
					Wait(t, "the new file", func() (bool, string) {
						_, err := os.Stat(path)
						return err == nil, fmt.Sprint(err)
					})
				case 4, 84:
					if code, _, stderr := c.run("reload"); code != 0 {
						t.Errorf("reload: exit %d, %s", code, stderr)
					}
				}
			})
			files, err := filepath.Glob(path + "*")
			if err != nil || len(files) < 2 {
				t.Fatalf("files %v, %v: want at least one rotated file", files, err)
			}
			total, pids := 8*each, map[int]bool{}
			Wait(t, "a line for each connection", func() (bool, string) {
				n := countLines(files...)
				return n >= total, fmt.Sprintf("%d of %d", n, total)
			})
			records := readAccess(t, files...)
			for _, r := range records {
				if r.Outcome != "ok" || r.In < 2 || r.In != r.Out || !strings.HasPrefix(r.Listener, "tcp://127.0.0.1:") {
					t.Errorf("record %+v", r)
				}
				connections[r.Remote]--
				pids[r.PID] = true
			}
			for remote, n := range connections {
				if n != 0 {
					t.Errorf("%s is %d records short", remote, n)
				}
			}
			if len(records) != total || len(pids) < 2 {
				t.Errorf("%d records of %d workers, want %d of several", len(records), len(pids), total)
			}
		})
	}
}

var commonLine = regexp.MustCompile(`^127\.0\.0\.1 - - \[[^]"]+\] "GET ([!-~]+) HTTP/1\.1" (200|404) (\d+|-)$`)

func TestHTTPRequestsAreLinesInTheCommonFormat(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "access.log")
	config := func(format string) string {
		return strings.Join([]string{goodConfig + `handler = "http"`, "[access]", fmt.Sprintf("access_log = %q", path), fmt.Sprintf("access_format = %q\n", format)}, "\n")
	}
	c := serve(t, config("common"))
	_, address := c.Address("")
	client := &http.Client{Transport: new(http.Transport)}
	get := func(target string) {
		t.Helper()
		resp, err := client.Get("http://" + address + target)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	n := times(50)
	for range n {
		get("/healthz")
		get("/none%22%0a")
	}
	Wait(t, "a line for each request", func() (bool, string) { return countLines(path) >= 2*n, Tail(readText(path), 3) })
	for line := range strings.Lines(readText(path)) {
		m := commonLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || m[1] == "/healthz" && (m[2] != "200" || m[3] != "3") || m[1] != "/healthz" && (m[1] != "/none%22%0a" || m[2] != "404") {
			t.Errorf("line %q", line)
		}
	}
	client.CloseIdleConnections()

	// A reload changes the format but not the file.
	c.write(config("json"))
	if code, _, stderr := c.run("reload"); code != 0 {
		t.Fatalf("reload: exit %d, %s", code, stderr)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for range n {
		get("/")
	}
	client.CloseIdleConnections()
	Wait(t, "a record of the connection", func() (bool, string) { return countLines(path) >= 1, readText(path) })
	if r := readAccess(t, path); len(r) != 1 || r[0].Requests != n || r[0].Outcome != "ok" {
		t.Errorf("records %+v, want one of %d requests", r, n)
	}
	c.write(strings.Replace(config("json"), path, path+".other", 1))
	if code, _, stderr := c.run("reload"); code != 1 || !strings.Contains(stderr, "access_log") {
		t.Errorf("reload to another file: exit %d, %q", code, stderr)
	}
}

func readText(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestAnAccessLogThatCannotBeOpenedFailsTheStart(t *testing.T) {
	dir, binary := testdir.Short(t), Program(t, "prefork/cmd/prefork")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "x"): "no such file or directory",
		dir:                             "is a directory",
		pipe:                            "no such device or address", // it has no reader
	} {
		code, _, stderr := execute(t, exec.Command(binary, "serve", "--listen", "tcp://127.0.0.1:0", "--control", "none", "--access-log", path))
		if code != 1 || !strings.Contains(stderr, "open access log: open "+path+": "+want) {
			t.Errorf("%s: exit %d, %q", path, code, stderr)
		}
	}
	code, _, stderr := execute(t, exec.Command(binary, "serve", "--access-log", "-", "--access-format", "common"))
	if code != 2 || !strings.Contains(stderr, "--access-format: common is for a handler that serves HTTP") {
		t.Errorf("common for upper: exit %d, %q", code, stderr)
	}
}

// Standard output of a container is such a pipe, and its reader may be slow.
func TestAnUnreadAccessLogPipeDoesNotBlockClients(t *testing.T) {
	dir := testdir.Short(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	control := filepath.Join(dir, "control")
	command := exec.Command(Program(t, "prefork/cmd/prefork"), "serve", "--listen", "tcp://127.0.0.1:0",
		"--workers", "2", "--control", control, "--access-log", "-")
	command.Stdout = w
	s := StartCommand(t, control, command)
	_ = w.Close()
	s.WaitState("running")
	network, address := s.Address("")
	connections := 0
	for ; connections < 2000 && !strings.Contains(s.Log.Text(), "access log not written"); connections++ {
		if _, err := exchangeLine(network, address, "x"); err != nil {
			t.Fatal(err)
		}
	}
	s.Log.WaitText(t, "access log not written")
	s.Do("drain")
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit %d", code)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "received")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(readAccess(t, path)); n < 100 || n > connections {
		t.Errorf("%d records of %d connections", n, connections)
	}
}
