package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/control"
)

func newStatus() *cobra.Command {
	var asJSON bool
	t := &target{}
	cmd := client(t, 10*time.Second, &cobra.Command{
		Use:     "status",
		Short:   "show the server, its listeners and its workers",
		GroupID: groupWatch,
		Long: `Shows what the server is doing: its state and generation, where it listens, what
all workers have served, how the last reload ended, and a line for each worker.
SILENT is the time since a worker's last heartbeat, LAG the worst delay of its
loop.`,
		Example: `  prefork status
  prefork status --listen tcp://127.0.0.1:9999
  prefork status --json | jq .totals.active`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *control.Client) error {
				s, raw, err := c.Status(ctx)
				if err != nil {
					return fmt.Errorf("status: %w", err)
				}
				out := cmd.OutOrStdout()
				if asJSON {
					return printJSON(out, json.RawMessage(raw))
				}
				_, err = io.WriteString(out, renderStatus(s, time.Now(), painterFor(out)))
				return err
			})
		},
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's JSON")
	return cmd
}
