package handlers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Workers started before and after a deployment serve the same files.
func TestHTTPServesTheDirectoryToWhichTheRootLinksNow(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "www")
	for _, name := range []string{"one", "two"} {
		err := errors.Join(os.Mkdir(filepath.Join(dir, name), 0o755),
			os.WriteFile(filepath.Join(dir, name, "index.html"), []byte(name), 0o644))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	r := start(t, options{root: link})
	want := func(when string, code int, body string) {
		t.Helper()
		if gotCode, got := r.get("/"); gotCode != code || code == 200 && got != body {
			t.Errorf("%s: %d %q, want %d %q", when, gotCode, got, code, body)
		}
	}
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", 200, "one")
	must(os.Symlink("two", link+".new"), os.Rename(link+".new", link))
	want("the link moved", 200, "two")
	must(os.RemoveAll(filepath.Join(dir, "one")))
	want("the first directory removed", 200, "two")
	must(os.Remove(link))
	want("the link removed", 200, "two")
	must(os.RemoveAll(filepath.Join(dir, "two")))
	want("everything removed", 404, "")
	must(os.Mkdir(link, 0o755), os.WriteFile(filepath.Join(link, "index.html"), []byte("three"), 0o644))
	want("a directory in its place", 200, "three")
	must(os.Rename(link, link+".old"))
	want("the directory renamed", 200, "three")
}

func TestHTTPFollowsNoLinkToAHiddenName(t *testing.T) {
	root := makeSite(t)
	for link, target := range map[string]string{
		"config":          ".git/config",
		"git":             ".git",
		"listed":          "plain",
		"plain/twice":     "../config",
		"page/index.html": "../plain/.hidden",
	} {
		_ = os.Remove(filepath.Join(root, link))
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, options{root: root})
	for _, path := range []string{"/config", "/git/config", "/plain/twice", "/page/", "/listed/.hidden"} {
		if code, body := r.get(path); code != 404 {
			t.Errorf("GET %s: %d %q, want 404", path, code, body)
		}
	}
	if code, body := r.get("/listed/b.txt"); code != 200 {
		t.Errorf("a link to what may be seen: %d %q", code, body)
	}
	all := start(t, options{root: root, hidden: true})
	if code, body := all.get("/config"); code != 200 || body != "hidden" {
		t.Errorf("with hidden names: %d %q", code, body)
	}
}

// http.FileServer lists a directory if its index page exists but cannot be opened
// a moment later.
func TestHTTPNeverListsADirectoryThatIsNotToBeListed(t *testing.T) {
	s, err := newSite(makeSite(t), false, false)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Open("/page")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if entries, err := f.(fs.ReadDirFile).ReadDir(-1); err == nil || len(entries) > 0 {
		t.Errorf("ReadDir = %v, %v; want an error", entries, err)
	}
}
