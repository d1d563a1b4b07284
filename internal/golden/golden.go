// Package golden compares what a test makes with a file that holds what is
// expected. `go test PACKAGE -update` writes the files of a package anew.
package golden

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Updating reports whether the files are to be written anew.
func Updating() bool { return *update }

// Check fails the test if the file does not hold exactly got.
func Check(tb testing.TB, path, got string) {
	tb.Helper()
	if *update {
		Write(tb, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if got != string(want) {
		tb.Errorf("%s differs (go test -update writes it anew), got:\n%s\nwant:\n%s", path, got, want)
	}
}

// Write writes a file anew.
func Write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}
