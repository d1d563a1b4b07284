// Package golden compares the output of a test with a golden file. `go test
// PACKAGE -update` rewrites the golden files of a package.
package golden

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Updating reports whether the flag -update is set.
func Updating() bool { return *update }

// Check fails the test unless the contents of the file equal got. With -update
// it writes the file first.
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
		tb.Errorf("%s differs (go test -update rewrites it), got:\n%s\nwant:\n%s", path, got, want)
	}
}

// Write writes a golden file.
func Write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}
