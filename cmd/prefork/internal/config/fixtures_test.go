package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

// repository is the directory of the example and the documents.
const repository = "../../../.."

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parseFlags returns the Flags of a command line.
func parseFlags(t *testing.T, args ...string) *Flags {
	t.Helper()
	f := &Flags{}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.Bind(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatalf("flags %q: %v", args, err)
	}
	return f
}

// mustParse parses a text, which must have no problems.
func mustParse(t *testing.T, text string, args ...string) Config {
	t.Helper()
	c, err := Parse("test.toml", []byte(text), parseFlags(t, args...))
	if err != nil {
		t.Fatalf("parse:\n%s\nproblems:\n%v", text, err)
	}
	return c
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
