package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/control"
	"prefork/cmd/prefork/internal/screen"
	"prefork/cmd/prefork/internal/top"
)

func newTop() *cobra.Command {
	var once bool
	t := &target{}
	cmd := client(t, time.Minute, &cobra.Command{
		Use:     "top",
		Short:   "watch the server and its workers live",
		GroupID: groupWatch,
		Long: `Shows once a second what the server and each of its workers are doing, and the
last lines of its log. Keys sort the table, pause it, and recycle or drain the
selected worker; ? lists them. CONN/S are connections handled a second, LAG is
the worst delay of a worker's loop, DOING its longest answer under way. Latency
is that of the last second's answers.

With --once it prints one picture, over an interval of a second, and ends.
Exit 0 if you quit, or if the server ended in order; exit 1 if it was lost.`,
		Example: `  prefork top
  prefork top --listen tcp://127.0.0.1:9999
  prefork top --once | grep draining`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if once {
				return t.ask(cmd, func(ctx context.Context, c *control.Client) error {
					return topOnce(ctx, c, cmd.OutOrStdout())
				})
			}
			if err := needsTerminal(cmd); err != nil {
				return err
			}
			// Watching has no end; the patience is for the single answers.
			endless := *t
			endless.timeout = min(t.timeout, 0)
			return endless.ask(cmd, func(ctx context.Context, c *control.Client) error {
				return topLive(ctx, c, t.timeout)
			})
		},
	})
	cmd.Flags().BoolVar(&once, "once", false, "print one picture as plain text and end")
	return cmd
}

// needsTerminal returns a usage error if there is no terminal to draw on.
func needsTerminal(cmd *cobra.Command) error {
	switch {
	case cmd.OutOrStdout() != io.Writer(os.Stdout) || !screen.IsTerminal(os.Stdout):
		return usage(cmd, "standard output is not a terminal; use --once to print one picture")
	case !screen.IsTerminal(os.Stdin):
		return usage(cmd, "standard input is not a terminal to read keys from; use --once to print one picture")
	case os.Getenv("TERM") == "dumb":
		return usage(cmd, "the terminal cannot move its cursor (TERM=dumb); use --once to print one picture")
	}
	return nil
}

// errEnough ends a stream when no more of it is needed.
var errEnough = errors.New("enough")

// endlessLine is the width of an output that is not a terminal.
const endlessLine = 1 << 20

// topOnce prints the picture of one interval.
func topOnce(ctx context.Context, c *control.Client, out io.Writer) error {
	m := top.New()
	err := c.Stream(ctx, func(item control.Item) error {
		if m.Feed(item); m.Complete() {
			return errEnough
		}
		return nil
	})
	switch {
	case err == nil:
		if err := topEnded(m); err != nil {
			return err
		}
		return errors.New("top: the server has ended before there was a picture")
	case !errors.Is(err, errEnough):
		return fmt.Errorf("top: %w", err)
	}
	width := endlessLine
	if f, ok := out.(*os.File); ok && screen.IsTerminal(f) {
		width = screen.Columns(f)
	}
	var b strings.Builder
	for _, l := range m.Text(width, time.Now()) {
		b.WriteString(l.ANSI(painterFor(out).On) + "\n")
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// topEnded returns an error if the server did not end in order.
func topEnded(m *top.Model) error {
	switch code, ok := m.Ended(); {
	case !ok:
		return errors.New("top: the connection to the server is lost: it was killed, or it crashed")
	case code != 0:
		return fmt.Errorf("top: the server has ended with status %d", code)
	}
	return nil
}
