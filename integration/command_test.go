package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"prefork/internal/needtool"
	"prefork/internal/testdir"
)

// Command is a running `prefork serve` with a configuration file.
type Command struct {
	*Server
	t       *testing.T
	binary  string
	control string
	config  string
}

// serve starts prefork with the configuration and waits until it is running.
func serve(t *testing.T, config string) *Command {
	t.Helper()
	dir := testdir.Short(t)
	c := &Command{t: t, binary: Program(t, "prefork/cmd/prefork"), control: filepath.Join(dir, "control"), config: filepath.Join(dir, "prefork.toml")}
	c.write(config)
	c.Server = StartCommand(t, c.control, exec.Command(c.binary, "serve", "--config", c.config, "--control", c.control))
	c.WaitState("running")
	return c
}

func (c *Command) write(config string) {
	c.t.Helper()
	if err := os.WriteFile(c.config, []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// run runs prefork with the arguments and this server's control socket.
func (c *Command) run(args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	return execute(c.t, exec.Command(c.binary, append(args, "--control", c.control)...))
}

func execute(t *testing.T, command *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errs.String()
}

const goodConfig = `listen = ["tcp://127.0.0.1:0"]
workers = 2
probation = "50ms"
`

func TestReloadCommandReportsTheResult(t *testing.T) {
	c := serve(t, goodConfig)
	network, address := c.Address("")
	if code, stdout, stderr := c.run("reload"); code != 0 || !strings.Contains(stdout, "2") {
		t.Errorf("reload: exit %d, %q, %q", code, stdout, stderr)
	}
	for name, test := range map[string]struct{ config, want string }{
		"unknown key":  {goodConfig + "worker = 3\n", "prefork.toml:4:"},
		"bad mode":     {goodConfig + "mode = \"treading\"\n", "threading"},
		"port in use":  {strings.Replace(goodConfig, `tcp://127.0.0.1:0`, occupied(t), 1), "in use"},
		"invalid TOML": {"listen = [\n", "prefork.toml:"},
		"all problems": {goodConfig + "mode = \"treading\"\nhandler = \"uper\"\n", "upper"},
	} {
		c.write(test.config)
		code, stdout, stderr := c.run("reload")
		if code != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit %d, %q, %q; want exit 1 and %q", name, code, stdout, stderr, test.want)
		}
		status, err := c.Status()
		if err != nil || status.Generation != 2 || status.LastReload.OK || !strings.Contains(status.LastReload.Error, test.want) {
			t.Errorf("%s: status %v, last reload %+v, %v", name, status, status.LastReload, err)
		}
	}
	if answer, err := Asks(network, address, "still here"); answer != "STILL HERE" {
		t.Error(answer, err)
	}
	c.write(goodConfig)
	if code, _, stderr := c.run("reload"); code != 0 {
		t.Errorf("reload of the corrected file: exit %d, %q", code, stderr)
	}
}

func TestCommandsControlARunningServer(t *testing.T) {
	c := serve(t, goodConfig)
	network, address := c.Address("")
	if code, stdout, _ := c.run("status"); code != 0 || !strings.Contains(stdout, "running") || !strings.Contains(stdout, address) {
		t.Errorf("status: exit %d, %q", code, stdout)
	}
	code, stdout, _ := c.run("status", "--json")
	var status Status
	if err := json.Unmarshal([]byte(stdout), &status); err != nil || code != 0 || status.PID != c.PID || len(status.Workers) != 2 {
		t.Errorf("status --json: exit %d, %v, %+v", code, err, status)
	}
	for _, step := range []struct {
		args    []string
		workers int
	}{{[]string{"scale", "4"}, 4}, {[]string{"scale", "+1"}, 5}, {[]string{"scale", "-1"}, 4}, {[]string{"recycle", "0"}, 4}} {
		if code, _, stderr := c.run(step.args...); code != 0 {
			t.Errorf("%v: exit %d, %q", step.args, code, stderr)
		}
		c.WaitWorkers(step.workers)
	}
	if code, _, stderr := c.run("log-level", "debug"); code != 0 {
		t.Errorf("log-level: exit %d, %q", code, stderr)
	}
	if code, _, stderr := c.run("scale", "many"); code != 2 || !strings.Contains(stderr, "many") {
		t.Errorf("scale many: exit %d, %q; want a usage error, 2, that names the argument", code, stderr)
	}
	if code, _, stderr := c.run("drain"); code != 0 {
		t.Errorf("drain: exit %d, %q", code, stderr)
	}
	if code := c.WaitExit(); code != 0 {
		t.Errorf("the drained server: exit %d", code)
	}
	if !Refused(network, address) {
		t.Error("the address still accepts connections")
	}
	if code, _, stderr := c.run("status"); code != 1 || stderr == "" {
		t.Errorf("status after the server has ended: exit %d, %q", code, stderr)
	}
}

func TestCommandStopStopsAtOnce(t *testing.T) {
	c := serve(t, goodConfig)
	client := c.Dial()
	client.Ask("held")
	if code, _, stderr := c.run("stop"); code != 0 {
		t.Errorf("stop: exit %d, %q", code, stderr)
	}
	if code := c.WaitExit(); code != 0 {
		t.Errorf("the stopped server: exit %d", code)
	}
}

func TestBadConfigurationExits78WithEveryProblem(t *testing.T) {
	binary, path := Program(t, "prefork/cmd/prefork"), filepath.Join(testdir.Short(t), "bad.toml")
	if err := os.WriteFile(path, []byte("mode = \"treading\"\nworkers = -1\nhandler = \"uper\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "serve"} {
		code, stdout, stderr := execute(t, exec.Command(binary, command, "--config", path))
		if code != 78 {
			t.Errorf("%s: exit %d", command, code)
		}
		for n := 1; n <= 3; n++ {
			if want := fmt.Sprintf("bad.toml:%d:", n); !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s does not say %s: %q, %q", command, want, stdout, stderr)
			}
		}
	}
}

// socketserverClient is the client of the socketserver documentation in a loop:
// it connects ten times, sends one line, receives the answer and closes.
const socketserverClient = `
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
for i in range(10):
    data = "hello world %d" % i
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.connect((host, port))
        sock.sendall(bytes(data + "\n", "utf-8"))
        received = str(sock.recv(1024), "utf-8")
    assert received == data.upper() + "\n", received
print("ok")
`

func runPythonClient(t *testing.T, address string) {
	t.Helper()
	python := needtool.Need(t, "python3", "python3")
	host, port, _ := strings.Cut(address, ":")
	if code, stdout, stderr := execute(t, exec.Command(python, "-c", socketserverClient, host, port)); code != 0 || stdout != "ok\n" {
		t.Errorf("python client: exit %d, %q, %q", code, stdout, stderr)
	}
}

// runNetcatClient runs the netcat command of the README.
func runNetcatClient(t *testing.T) {
	t.Helper()
	const line = "echo hello | nc -w 1 127.0.0.1 9999"
	readme, err := os.ReadFile("../README.md")
	if err != nil || !bytes.Contains(readme, []byte("`"+line+"`")) {
		t.Fatalf("the README does not say %q: %v", line, err)
	}
	needtool.Need(t, "nc", "netcat-openbsd")
	if code, stdout, stderr := execute(t, exec.Command("sh", "-c", line)); code != 0 || stdout != "HELLO\n" {
		t.Errorf("%s: exit %d, %q, %q", line, code, stdout, stderr)
	}
}

// Without configuration prefork serves the upper handler, and the other
// commands find the server.
func TestServeWithoutArguments(t *testing.T) {
	if l := occupy(t, "127.0.0.1:9999"); l != nil {
		_ = l.Close()
	} else {
		needtool.Skip(t, "port 9999 is in use")
	}
	binary := Program(t, "prefork/cmd/prefork")
	if found, _ := filepath.Glob("/run/prefork/*.sock"); len(found) > 0 { // the pattern is good
		needtool.Skip(t, "a server of this machine may be at %s", found[0])
	}
	runtime := testdir.Short(t) // the real directories may hold sockets of other servers
	environment := append(os.Environ(), "XDG_RUNTIME_DIR="+runtime, "TMPDIR="+runtime, "RUNTIME_DIRECTORY=")
	command := exec.Command(binary, "serve")
	command.Env = environment
	s := StartCommand(t, "", command)
	waitServing(t, s, "tcp", "127.0.0.1:9999")
	t.Run("python", func(t *testing.T) { runPythonClient(t, "127.0.0.1:9999") })
	t.Run("netcat", runNetcatClient)
	client := DialClient(t, "tcp", "127.0.0.1:9999")
	for _, text := range []string{"one", "two", "three"} {
		if answer := client.Ask(text); answer != strings.ToUpper(text) {
			t.Errorf("%q: %q", text, answer)
		}
	}
	_ = client.Close()
	for _, args := range [][]string{{"status"}, {"reload"}, {"drain"}} {
		command := exec.Command(binary, args...)
		command.Env = environment
		if code, stdout, stderr := execute(t, command); code != 0 {
			t.Errorf("%v: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
	if code := s.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestCommandReloadsOnHUPAndDrainsOnTERM(t *testing.T) {
	c := serve(t, goodConfig+"handler = \"echo\"\n")
	network, address := c.Address("")
	if answer, err := Asks(network, address, "echo"); answer != "echo" {
		t.Fatal(answer, err)
	}
	c.Signal(syscall.SIGHUP)
	c.WaitStatus("generation 2", func(s *Status) bool { return s.Generation == 2 && s.State == "running" })
	c.Signal(syscall.SIGTERM)
	if code := c.WaitExit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
