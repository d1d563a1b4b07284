package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The bounds of a server's beginning and end.
const (
	startTimeout = 15 * time.Second
	stopTimeout  = 5 * time.Second
)

// server is a started program that accepts on address.
type server struct {
	name    string
	address string
	pid     int
	control *control // of a prefork; else nil
	log     string   // path of what it wrote

	cmd  *exec.Cmd
	end  syscall.Signal // that lets it end with all that it started
	done chan struct{}  // closed once the process is reaped
}

// launch starts a program whose standard error goes into a file. The signal is what
// ends it: in stop, and from the kernel when this program dies.
func (b *bench) launch(name string, command *exec.Cmd, end syscall.Signal) (*server, error) {
	file, err := os.CreateTemp(b.dir, "log")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s := &server{name: name, log: file.Name(), cmd: command, end: end, done: make(chan struct{})}
	command.Stderr = file
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: end}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.pid = command.Process.Pid
	go func() {
		_ = command.Wait() // its log says more
		close(s.done)
	}()
	return s, nil
}

// startPeer starts a program that prints "listening HOST:PORT" once it
// accepts. Each item of env is NAME=value.
func (b *bench) startPeer(name string, args []string, env ...string) (*server, error) {
	// The pipe is ours, not exec's: Wait must not close it under the reader.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	command := exec.Command(args[0], args[1:]...)
	command.Stdout = w
	command.Env = append(os.Environ(), env...)
	s, err := b.launch(name, command, syscall.SIGKILL)
	_ = w.Close()
	if err != nil {
		return nil, err
	}
	if err := r.SetReadDeadline(time.Now().Add(startTimeout)); err != nil {
		s.stop()
		return nil, err
	}
	if s.address, err = announced(r); err != nil {
		s.stop()
		return nil, fmt.Errorf("start %s: %w\n%s", name, err, s.tail())
	}
	return s, nil
}

// announced reads the line in which a peer says where it listens.
func announced(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("it said %q: %w", line, err)
	}
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok {
		return "", fmt.Errorf("it said %q, not where it listens", line)
	}
	return address, nil
}

// awaitListeners waits until so many sockets listen on the server's address.
func (s *server) awaitListeners(ctx context.Context, want int) error {
	have := 0
	err := s.poll(ctx, func(context.Context) (bool, error) {
		sockets, err := listeningSockets(s.address)
		have = len(sockets)
		return have >= want, err
	})
	if err != nil {
		return fmt.Errorf("start %s: %d of %d sockets listen: %w", s.name, have, want, err)
	}
	return nil
}

// poll asks until the answer is yes. An error of the last answer is in its own.
func (s *server) poll(ctx context.Context, ask func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		yes, err := ask(ctx)
		if yes {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-s.done:
			return fmt.Errorf("it has left\n%s", s.tail())
		case <-ctx.Done():
			return fmt.Errorf("%w\n%s", errors.Join(ctx.Err(), err), s.tail())
		}
	}
}

// startPrefork starts a master on a port of the kernel's choice, and waits until it
// serves. The handler is upper, unless the arguments say another.
func (b *bench) startPrefork(ctx context.Context, name string, args ...string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "s") // short: a socket's path has 108 bytes
	if err != nil {
		return nil, err
	}
	c := newControl(filepath.Join(dir, "c"))
	command := exec.Command(b.prefork, append([]string{
		"serve", "--listen", "tcp://127.0.0.1:0", "--handler", "upper",
		"--control", c.path, "--log-format", "json",
	}, args...)...)
	s, err := b.launch(name, command, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	s.control, s.end = c, syscall.SIGQUIT
	err = s.poll(ctx, func(ctx context.Context) (bool, error) {
		st, err := c.status(ctx)
		if err != nil || st.State != "running" || len(st.Listeners) != 1 {
			return false, err
		}
		s.address = strings.TrimPrefix(st.Listeners[0].Address, "tcp://")
		return true, nil
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return s, nil
}

// stop ends the server, with all that it started, and waits until it is gone.
func (s *server) stop() {
	if s.control != nil {
		s.control.close()
	}
	_ = s.cmd.Process.Signal(s.end) // an error means that it is gone
	select {
	case <-s.done:
		return
	case <-time.After(stopTimeout):
	}
	_ = s.cmd.Process.Kill()
	<-s.done
}

// tail returns the end of what the server wrote.
func (s *server) tail() string {
	data, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}
