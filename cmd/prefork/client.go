package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/config"
	"prefork/cmd/prefork/internal/control"
)

// target is the server that the flags of a command name, and how long to wait.
type target struct {
	control string
	listen  string
	config  string
	timeout time.Duration
}

// bind adds the flags. timeout is the default; 0 is no limit.
func (t *target) bind(cmd *cobra.Command, timeout time.Duration) {
	f := cmd.Flags()
	f.Var((*given)(&t.control), "control", "the server's control socket `PATH`")
	f.Var((*given)(&t.listen), "listen", "the server whose first address is this `ADDRESS`")
	f.Var((*given)(&t.config), "config", "the server that was started with this `FILE`")
	f.DurationVar(&t.timeout, "timeout", timeout, "how long to wait for the answer; 0s is no limit")
}

func (t *target) path(ctx context.Context) (string, error) {
	switch {
	case t.control != "":
		return filepath.Abs(t.control)
	case t.listen != "":
		return control.FindListen(ctx, t.listen)
	case t.config != "":
		path, listen, err := config.Locate(t.config)
		switch {
		case err != nil:
			return "", err
		case path == config.NoControl:
			return "", fmt.Errorf("%s says that its server has no control socket", t.config)
		case path != "":
			return filepath.Abs(path)
		}
		return control.FindListen(ctx, listen[0])
	}
	return control.Find(ctx)
}

var errInterrupted = errors.New("interrupted; the server goes on with what it was asked")

// ask runs f against the server. A signal ends the waiting, not the server.
func (t *target) ask(cmd *cobra.Command, f func(context.Context, *control.Client) error) error {
	named := 0
	for _, by := range []string{t.control, t.listen, t.config} {
		if by != "" {
			named++
		}
	}
	switch {
	case named > 1:
		return usage(cmd, "name the server by one of --control, --listen and --config")
	case t.timeout < 0:
		return usage(cmd, "--timeout: at least 0s, not %v", t.timeout)
	case t.listen != "":
		if problems := config.CheckListen(t.listen); len(problems) > 0 {
			return usage(cmd, "--listen: %s", problems[0])
		}
	}
	ctx, stop := t.patience(cmd.Context())
	defer stop()
	path, err := t.path(ctx)
	if err != nil {
		return err
	}
	client := control.NewClient(path)
	defer client.Close()
	return f(ctx, client)
}

// patience returns a context that ends on a signal or at the timeout, with a cause
// that can be printed.
func (t *target) patience(parent context.Context) (context.Context, func()) {
	ctx, interrupt := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := ctx.Done()
	go func() {
		select {
		case <-signals:
			interrupt(errInterrupted)
		case <-done:
		}
	}()
	cancel := func() {}
	if t.timeout > 0 {
		late := fmt.Errorf("no answer within %v; the server goes on with what it was asked", t.timeout)
		ctx, cancel = context.WithTimeoutCause(ctx, t.timeout, late)
	}
	return ctx, func() {
		signal.Stop(signals)
		cancel()
		interrupt(nil)
	}
}
