package systemd_test

import (
	"io"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"prefork/systemd"
)

func TestStoredDescriptorsOutliveTheirSender(t *testing.T) {
	n, r := notifier(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close(); _ = write.Close() })
	if err := n.Store("pipe", int(write.Fd())); err != nil {
		t.Fatal(err)
	}
	if m := r.Wait("FDSTORE", "1", patience); m.Raw != "FDSTORE=1\nFDNAME=pipe" || m.Files != 1 {
		t.Errorf("got %v", m)
	}
	_ = write.Close()
	stored := r.Stored()
	if len(stored) != 1 || stored[0].Name != "pipe" {
		t.Fatalf("the store holds %v", stored)
	}
	if _, err := unix.Write(stored[0].FD, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := n.Remove("pipe"); err != nil {
		t.Fatal(err)
	}
	r.Wait("FDSTOREREMOVE", "1", patience)
	// The pipe ends only if all copies are closed.
	if data, err := io.ReadAll(read); err != nil || string(data) != "kept" {
		t.Errorf("read %q, %v", data, err)
	}
}

func TestOneNameHoldsManyDescriptorsEachOnce(t *testing.T) {
	n, r := notifier(t)
	var fds []int
	for range 2 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		fds = append(fds, fd)
	}
	for _, sent := range [][]int{fds, fds[:1]} {
		if err := n.Store("http", sent...); err != nil {
			t.Fatal(err)
		}
	}
	pass(t, n)
	var names []string
	for _, f := range r.Stored() {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"http", "http"}) {
		t.Errorf("the store holds %v", names)
	}
}

func TestAFullMessageOfDescriptorsArrives(t *testing.T) {
	n, r := notifier(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	fds := slices.Repeat([]int{int(null.Fd())}, systemd.MaxFiles)
	if err := n.Store("null", fds...); err != nil {
		t.Fatal(err)
	}
	if m := r.Wait("FDSTORE", "1", patience); m.Files != systemd.MaxFiles {
		t.Errorf("received %d descriptors, want %d", m.Files, systemd.MaxFiles)
	}
}
