package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"prefork"
	"prefork/internal/setting"
)

// Config is a complete configuration: what a reload can replace in the library,
// and the daemon's own keys. Listen is nil if it is not configured: the server
// takes what systemd passed, or else the default.
type Config struct {
	Handler string `value:"NAME" help:"the program that serves a connection"`

	prefork.Config

	Control    string `value:"PATH" fixed:"yes" help:"the control socket; empty: prefork chooses the path; none: no socket"`
	PIDFile    string `value:"PATH" fixed:"yes" help:"a file with the master's PID, locked; empty: no file"`
	LogFile    string `value:"PATH" fixed:"yes" help:"log here instead of standard error; reopened on USR1"`
	LogFormat  string `value:"FORMAT" fixed:"yes" choices:"auto,console,json" help:"auto, console or json; auto is console on a terminal"`
	Metrics    string `value:"ADDRESS" fixed:"yes" help:"serve /metrics for Prometheus here: host:port, tcp://host:port or unix:///path; empty: not served"`
	StatusPage bool   `fixed:"yes" help:"serve a live status page at / of the metrics address, without authentication"`
	AccessLog  string `table:"access" value:"PATH" fixed:"yes" help:"a file with one record per connection; - is standard output; empty: none"`

	program program // Handler with its options
}

// Key describes one setting.
type Key = setting.Setting

// OptionsTable is the table that holds the handler's options.
const OptionsTable = "options"

// Keys returns all settings, by table. The handler's options are not among them.
var Keys = sync.OnceValue(func() []Key {
	keys := slices.DeleteFunc(setting.Of(reflect.TypeFor[Config]()), func(k Key) bool { return k.Help == "" })
	tables := tablesOf(keys)
	slices.SortStableFunc(keys, func(a, b Key) int {
		return cmp.Compare(slices.Index(tables, a.Table), slices.Index(tables, b.Table))
	})
	return keys
})

// Tables returns the tables of Keys, in order; the first is "", the top.
func Tables() []string { return tablesOf(Keys()) }

func tablesOf(keys []Key) (tables []string) {
	for _, k := range keys {
		if !slices.Contains(tables, k.Table) {
			tables = append(tables, k.Table)
		}
	}
	return tables
}

// NoControl as the value of Control means that there is no control socket.
const NoControl = "none"

// Default returns the configuration of an empty file.
func Default() Config {
	c := Config{Handler: "upper", LogFormat: "auto", Config: prefork.Config{}.WithDefaults()}
	h, _ := LookupHandler(c.Handler)
	c.program = h.new()
	return c
}

// Addresses returns Listen or its default.
func (c *Config) Addresses() []string {
	if c.Listen == nil {
		return []string{prefork.DefaultListen}
	}
	return c.Listen
}

// Fixed says what a reload would change although it cannot.
func Fixed(was, is *Config) error {
	var problems []error
	for _, k := range Keys() {
		if before, after := was.Text(&k), is.Text(&k); k.Fixed && before != after {
			problems = append(problems, fmt.Errorf("%s: %s cannot become %s in a reload; restart the server", k.Key, before, after))
		}
	}
	return errors.Join(problems...)
}

// At makes the relative paths begin at dir. A server needs that: the directory
// that it was started in may be a link's target, and be gone after a deployment.
func (c *Config) At(dir string) error {
	words := map[string]string{"control": NoControl, "access_log": "-"} // are no paths
	paths(Keys(), reflect.ValueOf(c), func(k *Key, path reflect.Value) {
		if path.String() != words[k.Key] {
			path.SetString(Absolute(dir, path.String()))
		}
	})
	paths(optionsOf(c.program), reflect.ValueOf(c.program), func(_ *Key, path reflect.Value) {
		path.SetString(Absolute(dir, path.String()))
	})
	return c.encode()
}

// OptionPaths returns the paths among the handler's options.
func (c *Config) OptionPaths() (all []string) {
	paths(optionsOf(c.program), reflect.ValueOf(c.program), func(_ *Key, path reflect.Value) { all = append(all, path.String()) })
	return all
}

func paths(keys []Key, pointer reflect.Value, f func(k *Key, path reflect.Value)) {
	for _, k := range keys {
		if k.Value == "PATH" {
			f(&k, k.In(pointer.Elem()))
		}
	}
}

// Absolute is filepath.Join for a path that is relative, but .. behind a link
// stays the parent of what the link leads to. "" is no path.
func Absolute(dir, path string) string {
	switch {
	case path == "" || filepath.IsAbs(path):
		return path
	case strings.Contains(path, ".."):
		return dir + "/" + path
	}
	return filepath.Join(dir, path)
}
