package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"prefork/cmd/prefork/internal/config"
	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/nearest"
)

// newHelp is `prefork help`, which answers an unknown word with the nearest.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "explain a command",
		GroupID: groupOther,
		Long:    "Explains prefork, or one of its commands.",
		Example: `  prefork help
  prefork help serve`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return commandNames(root), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil || about == root && len(rest) > 0 {
				names := commandNames(root)
				return usage(cmd, "unknown command %q%s", args[0], nearest.Hint(args[0], names))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

func printHelp(cmd *cobra.Command, _ []string) {
	var b bytes.Buffer
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(text), usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	writeCommands(&b, cmd)
	writeFlags(&b, cmd)
	if cmd.Flags().Lookup("handler") != nil {
		writeHandlers(&b)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore about a command: %s COMMAND --help\n", cmd.CommandPath())
	}
	_, _ = cmd.OutOrStdout().Write(b.Bytes()) // a pager that was closed is not an error
}

func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() && cmd.Use == cmd.Name() {
		return cmd.CommandPath() + " COMMAND [flags]"
	}
	if cmd.HasAvailableFlags() {
		return cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name()) + " [flags]"
	}
	return cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name())
}

func writeCommands(b *bytes.Buffer, cmd *cobra.Command) {
	groups := cmd.Groups()
	if len(groups) == 0 {
		groups = []*cobra.Group{{Title: "Commands"}}
	}
	for _, g := range groups {
		var rows [][2]string
		for _, c := range cmd.Commands() {
			if c.GroupID == g.ID && (c.IsAvailableCommand() || c.Name() == "help") {
				rows = append(rows, [2]string{c.Name(), c.Short})
			}
		}
		writeRows(b, g.Title, rows)
	}
}

// writeFlags lists the flags; those of a configuration by the tables of the
// file.
func writeFlags(b *bytes.Buffer, cmd *cobra.Command) {
	table := map[string]string{}
	if cmd.Flags().Lookup("handler") != nil {
		for _, k := range config.Keys() {
			table[k.Flag()] = k.Table
		}
	}
	rows := map[string][][2]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			rows[table[f.Name]] = append(rows[table[f.Name]], flagRow(f))
		}
	})
	for _, name := range config.Tables() {
		title := "Flags"
		if name != "" {
			title = strings.ToUpper(name[:1]) + name[1:]
		}
		writeRows(b, title, rows[name])
	}
}

func flagRow(f *pflag.Flag) [2]string {
	placeholder, text := pflag.UnquoteUsage(f)
	left := "    --" + f.Name
	if f.Shorthand != "" {
		left = "-" + f.Shorthand + ", --" + f.Name
	}
	if placeholder == "duration" {
		placeholder = "DURATION"
	}
	if placeholder != "" && f.NoOptDefVal == "" {
		left += " " + placeholder
	}
	switch f.DefValue {
	case "", "false", "0", "0s", "0B", "[]":
	default:
		text += fmt.Sprintf(" (default %s)", f.DefValue)
	}
	return [2]string{left, text}
}

func writeRows(b *bytes.Buffer, title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, r := range rows {
		fmt.Fprintf(b, "  %-*s  %s\n", width, r[0], strings.Join(human.Wrap(r[1], columns-width-4), "\n"+strings.Repeat(" ", width+4)))
	}
}

// columns is how wide a help text may be.
const columns = 96

func writeHandlers(b *bytes.Buffer) {
	var rows [][2]string
	for _, name := range config.HandlerNames() {
		h, _ := config.LookupHandler(name)
		rows = append(rows, [2]string{name, h.Summary})
		for _, o := range h.Options() {
			rows = append(rows, [2]string{"  " + o.Key + "=" + strings.Trim(h.DefaultText(&o), `"`), o.Help})
		}
	}
	writeRows(b, "Handlers, and their options (--option KEY=VALUE)", rows)
}
