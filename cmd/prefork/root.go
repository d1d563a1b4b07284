package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"prefork/cmd/prefork/internal/nearest"
)

// The groups of the help text.
const (
	groupServe = "serve"
	groupWatch = "watch"
	groupSteer = "steer"
	groupLoad  = "load"
	groupOther = "other"
)

// newRoot returns the whole command. Cobra binds the completion scripts to the
// output as it is when they are added, so it must be known here.
func newRoot(stdout, stderr io.Writer) *cobra.Command {
	cobra.EnableCommandSorting = false // they are listed in the order of use
	root := &cobra.Command{
		Use:   "prefork",
		Short: "a pre-forking server that reloads without dropping a connection",
		Long: `prefork is a pre-forking server: a master binds the sockets and starts workers
that inherit them and serve. A worker that dies is replaced; a reload proves new
workers before the old ones leave; a drain answers every connection first.

Start one, and talk to it:

  prefork serve                 upper-cases lines on 127.0.0.1:9999
  nc 127.0.0.1 9999             from another terminal`,
		Example: `  prefork serve --handler http --option root=./public --listen tcp://:8080
  prefork serve --config prefork.toml
  prefork status
  prefork reload`,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddGroup(
		&cobra.Group{ID: groupServe, Title: "Run a server"},
		&cobra.Group{ID: groupWatch, Title: "Watch it"},
		&cobra.Group{ID: groupSteer, Title: "Steer it"},
		&cobra.Group{ID: groupLoad, Title: "Load it"},
		&cobra.Group{ID: groupOther, Title: "Other"},
	)
	root.AddCommand(newServe(), newCheck(), newUnit(), newStatus(), newTop(),
		newReload(), newDrain(), newStop(), newScale(), newRecycle(), newLogLevel(), newLoad(), newVersion())
	root.SetHelpCommand(newHelp(root))
	root.SetCompletionCommandGroupID(groupOther)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(printHelp)
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Short = "print the completion script of a shell"
			refuseUnknown(c)
		}
	}
	return root
}

// flagError turns pflag's error into a usage error, with the nearest flag if the
// name is unknown.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if errors.As(err, &missing) && missing.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		name := missing.GetSpecifiedName()
		hint := ""
		if n := nearest.Name(name, names); n != "" {
			hint = fmt.Sprintf(`; did you mean "--%s"?`, n)
		}
		err = fmt.Errorf("unknown flag --%s%s", name, hint)
	}
	return &usageError{cmd.CommandPath(), err}
}

// misspelt checks the first word before cobra does, which would report the flags
// of an unknown command and not the command.
func misspelt(root *cobra.Command, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || strings.HasPrefix(args[0], "__complete") {
		return nil
	}
	names := commandNames(root)
	if slices.Contains(names, args[0]) {
		return nil
	}
	return &usageError{root.Name(), fmt.Errorf("unknown command %q%s", args[0], nearest.Hint(args[0], names))}
}

// refuseUnknown makes unknown subcommands of cmd usage errors. Cobra would print
// the help and exit 0.
func refuseUnknown(cmd *cobra.Command) {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
		c.Args = noArgs
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usage(cmd, "unknown shell %q%s", args[0], nearest.Hint(args[0], names))
	}
}

// commandNames returns the words that may follow prefork on a command line.
func commandNames(root *cobra.Command) []string {
	names := []string{"help"}
	for _, c := range root.Commands() {
		if !c.Hidden && c.Name() != "help" {
			names = append(names, c.Name())
		}
	}
	return names
}

// protectNegative moves a negative number behind a double dash, so that the 1 of
// `scale -1` is not taken for a flag. In other commands a number is the value of
// a flag.
func protectNegative(args []string) []string {
	if len(args) == 0 || args[0] != "scale" && args[0] != "recycle" {
		return args
	}
	for i, a := range args {
		if a == "--" {
			return args
		}
		if digits, minus := strings.CutPrefix(a, "-"); minus && isNumber(digits) {
			return append(slices.Delete(slices.Clone(args), i, i+1), "--", a)
		}
	}
	return args
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// noArgs is cobra.NoArgs as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{cmd.CommandPath(), fmt.Errorf("%s takes no arguments, but there is %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// oneArg wants exactly one argument; what describes it.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &usageError{cmd.CommandPath(), fmt.Errorf("want one argument, %s, not %d", what, len(args))}
		}
		return nil
	}
}

func usage(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd.CommandPath(), fmt.Errorf(format, args...)}
}
