package main

import (
	"strings"

	"github.com/spf13/cobra"

	"prefork/cmd/prefork/internal/config"
)

// completeConfig teaches the shell the values of a configuration's flags.
func completeConfig(cmd *cobra.Command) {
	// Registering fails only for a flag that is not there or that has a
	// completion already, which the test of the completions would show.
	_ = cmd.MarkFlagFilename("config", "toml")
	for _, k := range config.Keys() {
		if words := k.Choices; len(words) > 0 {
			_ = cmd.RegisterFlagCompletionFunc(k.Flag(), cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	_ = cmd.RegisterFlagCompletionFunc("handler", cobra.FixedCompletions(config.HandlerNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("option", completeOption)
}

// completeOption offers the options of the handler that the line names so far.
func completeOption(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	h, ok := config.LookupHandler(cmd.Flags().Lookup("handler").Value.String())
	if !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, o := range h.Options() {
		if w := o.Key + "="; strings.HasPrefix(w, begun) {
			words = append(words, w)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
