package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/config"
)

func newCheck() *cobra.Command {
	var quiet bool
	src := &source{}
	cmd := &cobra.Command{
		Use:     "check [FILE]",
		Short:   "check a configuration file without serving",
		GroupID: groupServe,
		Long: `Reads the file as serve would, with the same flags over it, and prints the
configuration that would be served, every default filled in, as a file that can
be used. If anything is wrong it prints all of it, one problem a line, as
file:line: what, and exits 78.

It opens no socket and no file, unless --deep lets it open what the handler would,
such as its directory. That a port is free is known only by serving.`,
		Example: `  prefork check --config prefork.toml
  prefork check prefork.toml --mode forking
  prefork check --quiet --deep prefork.toml && prefork reload`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usage(cmd, "want one file, not %d", len(args))
			case len(args) == 1 && src.file != "":
				return usage(cmd, "want the file once, not as %q and as --config %q", args[0], src.file)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				src.file = args[0]
			}
			if src.file == "" {
				return usage(cmd, "name a file: prefork check --config FILE")
			}
			c, err := config.Load(src.file, &src.flags)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", src.file); err != nil || quiet {
				return err
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout()); err != nil {
				return err
			}
			return c.Write(cmd.OutOrStdout())
		},
	}
	src.bind(cmd)
	cmd.Flags().BoolVar(&src.flags.Deep, "deep", false, "open what the handler would open, too")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only ok or the problems")
	return cmd
}
