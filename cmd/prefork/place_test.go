package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A deployment changes the link to the directory in which the server was started.
func TestRelativePathsUseTheLinkToTheWorkingDirectory(t *testing.T) {
	dir := place(t)
	link := filepath.Join(dir, "current")
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "c.toml"),
			"handler = \"http\"\ncontrol = \"ctl\"\nlog_file = \"../log\"\npid_file = \"run/pid\"\naccess_log = \"-\"\noptions.root = \"public/"+name+"\"\n")
	}
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(link)
	src := &source{file: "c.toml"}
	s, err := src.server()
	if err != nil {
		t.Fatal(err)
	}
	if s.Control != link+"/ctl" || s.LogFile != link+"/../log" || s.PIDFile != link+"/run/pid" || s.AccessLog != "-" ||
		!strings.Contains(string(s.Settings), link+"/public/one") {
		t.Errorf("server with %q, %q, %q, %q, settings %s", s.Control, s.LogFile, s.PIDFile, s.AccessLog, s.Settings)
	}

	err = errors.Join(os.Symlink("two", link+".new"), os.Rename(link+".new", link), os.RemoveAll(filepath.Join(dir, "one")))
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.Reload(t.Context())
	if err != nil {
		t.Fatalf("reload after the link moved: %v", err)
	}
	if !strings.Contains(string(next.Settings), link+"/public/two") {
		t.Errorf("the next generation: settings %s", next.Settings)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), link+"/c.toml: ") {
		t.Errorf("reload of a missing file: %v, want its whole path", err)
	}
}
