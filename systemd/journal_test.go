package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestJournalStreamIsTheFileThatItNames(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	fd := int(file.Fd())
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino):   true,
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false,
		fmt.Sprintf("%d:%d", stat.Dev+1, stat.Ino): false,
		fmt.Sprintf("%d", stat.Dev):                false,
		fmt.Sprintf("%d:x", stat.Dev):              false,
		fmt.Sprintf("x:%d", stat.Ino):              false,
		"":                                         false,
		":":                                        false,
	} {
		t.Setenv("JOURNAL_STREAM", value)
		if got := JournalStream(fd); got != want {
			t.Errorf("JOURNAL_STREAM=%q: got %v, want %v", value, got, want)
		}
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	if JournalStream(-1) {
		t.Error("a descriptor that is not open is the journal's")
	}
	if err := os.Unsetenv("JOURNAL_STREAM"); err != nil {
		t.Fatal(err)
	}
	if JournalStream(fd) {
		t.Error("without the variable the file is the journal's")
	}
}

func FuzzJournalStream(f *testing.F) {
	f.Add("8:1234")
	f.Add("8:")
	f.Fuzz(func(t *testing.T, value string) {
		dev, ino, ok := parseJournalStream(value)
		if !ok && (dev != 0 || ino != 0) {
			t.Fatalf("%d:%d out of %q, which is malformed", dev, ino, value)
		}
	})
}

func TestPriorityPrefix(t *testing.T) {
	for p, want := range map[Priority]string{Emergency: "<0>", Error: "<3>", Warning: "<4>", Info: "<6>", Debug: "<7>", -1: "<0>", 8: "<7>"} {
		if got := p.Prefix(); got != want {
			t.Errorf("priority %d: got %q, want %q", p, got, want)
		}
	}
}
