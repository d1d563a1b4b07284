package logs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// The socket preserves the boundaries of writes.
func TestALineIsOneWrite(t *testing.T) {
	for _, format := range []string{Console, JSON} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, w := os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
		log, _ := open(t, format, "info", w)
		log.Info("worker exited", zap.String("evidence", strings.Repeat("goroutine 1\n", 1000)))
		log.Info("worker ready")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<16)
		for i, want := range []string{"worker exited", "worker ready"} {
			n, err := r.Read(buf)
			if got := string(buf[:n]); err != nil || !strings.Contains(got, want) || !strings.HasSuffix(got, "\n") {
				t.Errorf("%s: write %d is %q, %v", format, i, got, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnUnreadLogDoesNotStopTheServer(t *testing.T) {
	for _, test := range []struct {
		name   string
		length int
		torn   int // partial lines: longer than the room left
	}{
		{"short lines", 10, 0},
		{"lines longer than PIPE_BUF", 20_000, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, w := pipe(t)
			log, _ := open(t, JSON, "info", w)
			fill(t, log, test.length)
			log.Info("lost too")
			// When there is a reader again, the losses are reported, and the
			// partial line does not corrupt a later one.
			in := bufio.NewReader(r)
			torn, reported, said := 0, 0, 0
			within(t, "the count of lost lines", func() {
				if _, err := in.ReadString('\n'); err != nil {
					t.Error(err)
					return
				}
				// A line longer than the room left waits for this reader,
				// which may be late on a busy machine.
				seen, done := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					for said = 1; ; said++ {
						log.Info("back")
						select {
						case <-seen:
							return
						case <-time.After(time.Second):
						}
					}
				}()
				defer func() { close(seen); <-done }()
				for got := (entry{}); got.Msg != "back"; {
					line, err := in.ReadString('\n')
					if err != nil {
						t.Error(err)
						return
					}
					got = entry{}
					if json.Unmarshal([]byte(line), &got) != nil {
						torn++
					}
					reported += got.Count
				}
			})
			if late := said > 1; torn < test.torn || reported < 2 || !late && (torn != test.torn || reported != 2) {
				t.Errorf("%d lines are torn, want %d; %d reported as lost, want 2", torn, test.torn, reported)
			}
		})
	}
}

type entry struct {
	Msg   string
	Count int
}

// fill logs until a line is lost.
func fill(t *testing.T, log *zap.Logger, length int) {
	t.Helper()
	within(t, "the logger to go on without a reader", func() {
		checked := log.Check(zap.InfoLevel, "m").Entry
		for i := range 100_000 {
			fields := []zap.Field{zap.Int("i", i), zap.String("pad", strings.Repeat("x", length))}
			if err := log.Core().Write(checked, fields); err != nil {
				if !errors.Is(err, errStalled) {
					t.Errorf("line %d: %v", i, err)
				}
				return
			}
		}
		t.Error("the pipe is never full")
	})
}

func TestAPartialLineDoesNotCorruptTheNext(t *testing.T) {
	f, text := file(t)
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s := newSink(raw)
	s.torn = true
	for range 2 {
		if err := s.write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(); got != "\nline\nline\n" {
		t.Errorf("wrote %q", got)
	}
}

// A write to a network file system may block when its server is gone.
func TestAWriteThatDoesNotReturnDoesNotStopTheServer(t *testing.T) {
	f, text := file(t)
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s, answers := newSink(raw), make(chan struct{})
	s.sys = func(fd int, b []byte) (int, error) {
		<-answers
		return unix.Write(fd, b)
	}
	within(t, "the logger to go on", func() {
		for i := range 3 {
			line := fmt.Appendf(nil, "line %d\n", i)
			if err := s.write(line); !errors.Is(err, errStalled) {
				t.Errorf("line %d: %v, want %v", i, err, errStalled)
			}
			clear(line) // which the caller may reuse
		}
		close(answers)
		for s.write([]byte("back\n")) != nil { // the first may still be in progress
		}
	})
	if got := text(); got != "line 0\nback\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestTheNextLineGoesToTheReplacedFile(t *testing.T) {
	old, oldText := file(t)
	next, nextText := file(t)
	log, _ := open(t, JSON, "info", old)
	log.Info("one")
	if err := unix.Dup3(int(next.Fd()), int(old.Fd()), unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	log.Info("two")
	if strings.Contains(oldText(), "two") || !strings.Contains(nextText(), "two") {
		t.Errorf("old %q, new %q", oldText(), nextText())
	}
}

// helperBrokenStderr logs to a standard error without a reader.
func helperBrokenStderr() error {
	log, _, err := New(Auto, "info", os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println("logging")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	err = log.Core().Write(log.Check(zap.InfoLevel, "m").Entry, nil)
	log.Info("m")
	fmt.Println(errors.Is(err, unix.EPIPE), "and alive")
	return nil
}

func TestAClosedReaderDoesNotKillTheProcess(t *testing.T) {
	r, w := pipe(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = w
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	within(t, "the helper", func() {
		if line, err := lines.ReadString('\n'); line != "logging\n" {
			t.Errorf("the helper printed %q, %v", line, err)
		}
		if err := errors.Join(r.Close(), w.Close()); err != nil {
			t.Error(err)
		}
		if _, err := in.Write([]byte("\n")); err != nil {
			t.Error(err)
		}
		if line, err := lines.ReadString('\n'); line != "true and alive\n" {
			t.Errorf("the helper printed %q, %v", line, err)
		}
	})
	if err := cmd.Wait(); err != nil {
		t.Errorf("the helper ended with %v", err)
	}
}
