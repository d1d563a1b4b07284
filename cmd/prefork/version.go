package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"
)

// buildInfo says what this binary was built from.
type buildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"` // the tree differed from the commit
	Go       string `json:"go"`
}

// build reads what the linker noted, once.
var build = sync.OnceValue(func() buildInfo {
	b := buildInfo{Version: "devel", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
})

// String returns the version as status and the handshake carry it.
func (b buildInfo) String() string {
	s := b.Version
	if b.Version == "devel" && b.Commit != "" {
		s += "-" + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			s += "+dirty"
		}
	}
	return s
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "say what this binary was built from",
		GroupID: groupOther,
		Long: `Prints the version, the commit and the Go release that this binary was built
from. A running server may have another version: "prefork status" shows it.`,
		Example: `  prefork version
  prefork version --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := build()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), b)
			}
			commit := b.Commit
			switch {
			case commit == "":
				commit = "unknown commit"
			case b.Modified:
				commit += " with changes"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "prefork %s (%s, %s)\n", b.Version, commit, b.Go)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
