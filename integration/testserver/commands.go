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

// lines answers one line with one line: the first word is the command, the
// rest its argument.
type lines struct {
	worker.BaseHandler
	tag   string
	wedge *wedge
}

// wedged makes the loop of this worker block at its next tick.
var wedged atomic.Bool

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

// commands that need nothing of the handler. Those that end the process do
// not return.
var commands = map[string]func(ctx context.Context, argument string) (string, error){
	"upper":   func(_ context.Context, text string) (string, error) { return strings.ToUpper(text), nil },
	"pid":     func(context.Context, string) (string, error) { return strconv.Itoa(os.Getpid()), nil },
	"sleep":   sleep,
	"hang":    func(context.Context, string) (string, error) { select {} },
	"exit":    exit,
	"nil":     func(context.Context, string) (string, error) { go write(nil); select {} },
	"fatal":   func(context.Context, string) (string, error) { unlockUnlockedMutex(); return "", nil },
	"panic":   func(_ context.Context, text string) (string, error) { panic("handler panic: " + text) },
	"stop":    func(context.Context, string) (string, error) { return "", syscall.Kill(os.Getpid(), syscall.SIGSTOP) },
	"wedge":   func(context.Context, string) (string, error) { wedged.Store(true); return "wedged", nil },
	"corrupt": corrupt,
	"leak":    leak,
	"orphan":  orphan,
	"say":     say,
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

// sleep answers after a while, or earlier with an error if the worker gives
// the connection up.
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

// write dereferences p on a goroutine that nobody recovers.
func write(p *int) { *p = 1 }

// unlockUnlockedMutex is a fatal error of the runtime, which no recover can stop. Map
// writes at the same time would be one too, if the runtime noticed them before
// they broke the map.
func unlockUnlockedMutex() {
	var m sync.Locker = new(sync.Mutex)
	m.Unlock()
}

// corrupt sends a datagram that is no message down the worker's channel.
func corrupt(context.Context, string) (string, error) {
	if _, err := syscall.Write(ipc.ChannelFD, []byte("this is no message")); err != nil {
		return "", err
	}
	return "corrupted", nil
}

// leaked keeps what leak allocates.
var leaked atomic.Pointer[[]byte]

// leak makes the worker hold so many megabytes, every page of them touched.
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

// orphan starts a process whose parent exits at once, and answers its pid as
// this worker's namespace sees it.
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
