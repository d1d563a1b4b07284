package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"prefork"
	"prefork/cmd/prefork/internal/control"
	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/nearest"
	"prefork/internal/logs"
)

// client completes a command that talks to a server: its help says how the server
// is found, and its flags name it. timeout is the default.
func client(t *target, timeout time.Duration, cmd *cobra.Command) *cobra.Command {
	if cmd.GroupID == "" {
		cmd.GroupID = groupSteer
	}
	cmd.Long += `

The server is found by itself if one runs for this user; else name it with
--control, --listen or --config.`
	t.bind(cmd, timeout)
	return cmd
}

func newReload() *cobra.Command {
	t := &target{}
	return client(t, time.Minute, &cobra.Command{
		Use:   "reload",
		Short: "load the configuration again; nothing is dropped",
		Long: `Makes the server read its configuration and start a new generation of workers.
The old generation serves until the new one is ready, and is kept until it has
held through its probation. Waits for the outcome: exit 0 if the new generation
serves; exit 1 with the reason if the old one still does.`,
		Example: `  prefork reload
  prefork reload --config /etc/prefork.toml
  prefork reload --control /run/prefork/control.sock --timeout 5m`,
		Args: noArgs,
		RunE: t.command("reload", func(a prefork.Answer) string {
			return fmt.Sprintf("reloaded: generation %d serves", a.Generation)
		}),
	})
}

func newDrain() *cobra.Command {
	t := &target{}
	return client(t, 0, &cobra.Command{
		Use:   "drain",
		Short: "end the server once all connections are answered",
		Long: `Makes the server take no new connections, answer those it has, and end. What is
not done by its drain_timeout is cut. Waits until the process is gone.`,
		Example: `  prefork drain
  prefork drain --listen tcp://127.0.0.1:9999
  prefork drain --timeout 1m || prefork stop`,
		Args: noArgs,
		RunE: t.end("drain", "drained: the server has ended"),
	})
}

func newStop() *cobra.Command {
	t := &target{}
	return client(t, time.Minute, &cobra.Command{
		Use:   "stop",
		Short: "end the server at once",
		Long: `Ends the server without waiting for its connections: they are cut. Use drain to
let them finish. Waits until the process is gone.`,
		Example: `  prefork stop
  prefork stop --control /run/prefork/control.sock`,
		Args: noArgs,
		RunE: t.end("stop", "stopped: the server has ended"),
	})
}

func newScale() *cobra.Command {
	t := &target{}
	return client(t, time.Minute, &cobra.Command{
		Use:   "scale N|+N|-N",
		Short: "set, raise or lower the number of workers",
		Long: `Sets the number of workers, or changes it by so many. A worker that goes answers
its connections first. The change lasts until the next reload.`,
		Example: `  prefork scale 4
  prefork scale +1
  prefork scale -1`,
		Args: oneArg("a number such as 4, +1 or -1"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := strconv.ParseInt(args[0], 10, 32); err != nil {
				return usage(cmd, "want a number such as 4, +1 or -1, not %q", args[0])
			}
			return t.send(cmd, "scale", url.Values{"n": {args[0]}}, func(a prefork.Answer) string {
				return "scaled: " + human.WorkersText(a.Target)
			})
		},
	})
}

func newRecycle() *cobra.Command {
	var now bool
	t := &target{}
	cmd := client(t, time.Minute, &cobra.Command{
		Use:   "recycle SLOT",
		Short: "replace one worker by a fresh process",
		Long: `Starts a replacement for the worker in a slot, and drains the worker once the
replacement is ready. With --now it stops accepting at once, and the pool fills
its place. It answers its connections first, either way. "prefork status" shows
the slots.`,
		Example: `  prefork recycle 2
  prefork recycle 2 --now
  prefork recycle 0 --control /run/prefork/control.sock`,
		Args: oneArg("the slot of a worker"),
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := strconv.ParseUint(args[0], 10, 31)
			if err != nil {
				return usage(cmd, `want a slot such as 0 ("prefork status" shows them), not %q`, args[0])
			}
			command := "recycle"
			if now {
				command = "drain-worker"
			}
			return t.send(cmd, command, url.Values{"slot": {args[0]}}, func(prefork.Answer) string {
				return fmt.Sprintf("recycling the worker in slot %d", slot)
			})
		},
	})
	cmd.Flags().BoolVar(&now, "now", false, "do not wait for the replacement")
	return cmd
}

func newLogLevel() *cobra.Command {
	t := &target{}
	levels := logs.Levels()
	return client(t, time.Minute, &cobra.Command{
		Use:       "log-level LEVEL",
		Short:     "change what is logged: debug, info, warn or error",
		ValidArgs: levels,
		Long: `Changes the log level of the master and its workers. The change lasts until the
next reload.`,
		Example: `  prefork log-level debug
  prefork log-level info`,
		Args: oneArg("debug, info, warn or error"),
		RunE: func(cmd *cobra.Command, args []string) error {
			level := args[0]
			if !slices.Contains(levels, level) {
				return usage(cmd, "unknown level %q%s", level, cmp.Or(nearest.Hint(level, levels), "; want debug, info, warn or error"))
			}
			return t.send(cmd, "log-level", url.Values{"level": {level}}, func(prefork.Answer) string {
				return "log level: " + level
			})
		},
	})
}

func (t *target) command(name string, verdict func(prefork.Answer) string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error { return t.send(cmd, name, nil, verdict) }
}

func (t *target) send(cmd *cobra.Command, name string, query url.Values, verdict func(prefork.Answer) string) error {
	return t.ask(cmd, func(ctx context.Context, c *control.Client) error {
		a, err := c.Command(ctx, name, query)
		if err != nil {
			return failed(name, err)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), verdict(a))
		return err
	})
}

func (t *target) end(name, verdict string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return t.ask(cmd, func(ctx context.Context, c *control.Client) error {
			if err := c.End(ctx, name); err != nil {
				return failed(name, err)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), verdict)
			return err
		})
	}
}

// failed says which command did not work, and why. A reason of several lines
// is a list of a file's problems, each of which begins its own line.
func failed(name string, err error) error {
	if strings.Contains(err.Error(), "\n") {
		return fmt.Errorf("%s failed:\n%w", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}
