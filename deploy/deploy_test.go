// Package deploy_test keeps the files that `make install` installs equal to
// what internal/unit writes.
package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"prefork/internal/golden"
	"prefork/internal/unit"
)

func TestUnitsAreWhatThePackageWrites(t *testing.T) {
	texts := map[string]string{}
	add := func(name, text string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		texts[name] = text
	}
	text, err := unit.Service{}.Text()
	add("prefork.service", text, err)
	text, err = unit.Service{Template: true}.Text()
	add("prefork@.service", text, err)
	text, err = unit.Socket{Listen: []string{"127.0.0.1:9999"}}.Text()
	add("prefork.socket", text, err)

	for name, want := range texts {
		golden.Check(t, filepath.Join("systemd", name), want)
	}
	entries, err := os.ReadDir("systemd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := texts[e.Name()]; !ok {
			t.Errorf("the package does not write systemd/%s", e.Name())
		}
	}
}

// The socket unit and the default configuration are about the same address, so
// that the one can be enabled without a change to the other.
func TestSocketUnitIsAboutTheConfiguredAddress(t *testing.T) {
	unit, err := os.ReadFile("systemd/prefork.socket")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("prefork.toml")
	if err != nil {
		t.Fatal(err)
	}
	const address = "127.0.0.1:9999"
	if !strings.Contains(string(unit), "ListenStream="+address+"\n") || !strings.Contains(string(config), `listen = ["tcp://`+address+`"]`) {
		t.Errorf("want %s in both:\n%s\n%s", address, unit, config)
	}
}
