package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"prefork/ipc"
	"prefork/worker"
)

// maxLine bounds a command.
const maxLine = 64 << 10

// lines is a handler that answers each line with a line. The first word is the
// command, the rest its argument.
type lines struct {
	worker.BaseHandler
	tag string
}

// loopHangs makes the loop of this worker block at its next tick.
var loopHangs atomic.Bool

// Handle implements worker.Handler.
func (h *lines) Handle(ctx context.Context, c *worker.Conn) error {
	in := bufio.NewReaderSize(c, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read command: %w", err)
		}
		text := strings.TrimSuffix(string(line), "\n")
		c.Doing(text)
		command, argument, _ := strings.Cut(text, " ")
		answer, err := h.run(ctx, command, argument)
		if err != nil {
			answer = "error: " + err.Error()
		}
		if _, err := io.WriteString(c, answer+"\n"); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// commands by name, except for "tag". Commands that end the process do not
// return.
var commands = map[string]func(ctx context.Context, argument string) (string, error){
	"upper":    func(_ context.Context, text string) (string, error) { return strings.ToUpper(text), nil },
	"pid":      func(context.Context, string) (string, error) { return strconv.Itoa(os.Getpid()), nil },
	"sleep":    sleep,
	"hang":     func(context.Context, string) (string, error) { select {} },
	"exit":     exit,
	"nil":      func(context.Context, string) (string, error) { go write(nil); select {} },
	"fatal":    func(context.Context, string) (string, error) { unlockUnlockedMutex(); return "", nil },
	"panic":    func(_ context.Context, text string) (string, error) { panic("handler panic: " + text) },
	"stop":     func(context.Context, string) (string, error) { return "", syscall.Kill(os.Getpid(), syscall.SIGSTOP) },
	"hangloop": func(context.Context, string) (string, error) { loopHangs.Store(true); return "hung", nil },
	"corrupt":  corrupt,
	"leak":     leak,
	"orphan":   orphan,
	"say":      say,
}

func (h *lines) run(ctx context.Context, command, argument string) (string, error) {
	if command == "tag" {
		return h.tag, nil
	}
	do, ok := commands[command]
	if !ok {
		return "", fmt.Errorf("unknown command %q", command)
	}
	return do(ctx, argument)
}

// sleep answers after the duration, or with an error as soon as ctx ends.
func sleep(ctx context.Context, argument string) (string, error) {
	d, err := time.ParseDuration(argument)
	if err != nil {
		return "", err
	}
	select {
	case <-time.After(d):
		return "slept", nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func exit(_ context.Context, argument string) (string, error) {
	code, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	os.Exit(code)
	return "", nil
}

// write dereferences p on a goroutine without a recover.
func write(p *int) { *p = 1 }

// unlockUnlockedMutex causes a fatal error of the runtime, which recover cannot
// stop. Concurrent map writes are less certain: the runtime may notice them only
// after the map is broken.
func unlockUnlockedMutex() {
	var m sync.Locker = new(sync.Mutex)
	m.Unlock()
}

// corrupt sends an invalid message on the worker's channel.
func corrupt(context.Context, string) (string, error) {
	if _, err := syscall.Write(ipc.ChannelFD, []byte("this is no message")); err != nil {
		return "", err
	}
	return "corrupted", nil
}

// leaked keeps the memory that leak allocates.
var leaked atomic.Pointer[[]byte]

// leak makes the worker hold so many megabytes. It writes to every page.
func leak(_ context.Context, argument string) (string, error) {
	megabytes, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	block := make([]byte, megabytes<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	leaked.Store(&block)
	return "leaked", nil
}

// orphan starts a process whose parent exits at once and answers its pid in this
// worker's namespace.
func orphan(ctx context.Context, seconds string) (string, error) {
	if _, err := strconv.ParseFloat(seconds, 64); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "sh", "-c", "sleep "+seconds+" >/dev/null 2>&1 & echo $!").Output()
	return strings.TrimSpace(string(out)), err
}

// say writes a line to the worker's standard error.
func say(_ context.Context, text string) (string, error) {
	_, err := fmt.Fprintln(os.Stderr, text)
	return "said", err
}
