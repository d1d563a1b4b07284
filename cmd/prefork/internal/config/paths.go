package config

import (
	"maps"
	"path/filepath"
	"strings"

	"prefork/worker/handlers"
)

// At returns the configuration with its relative paths taken from dir. A server
// needs that: the directory that it was started in may be a link's target, and
// be gone after a deployment.
func (c Config) At(dir string) Config {
	c.PIDFile = Absolute(dir, c.PIDFile)
	c.LogFile = Absolute(dir, c.LogFile)
	if c.AccessLog != "-" { // standard output
		c.AccessLog = Absolute(dir, c.AccessLog)
	}
	if c.Control != NoControl {
		c.Control = Absolute(dir, c.Control)
	}
	c.Options = maps.Clone(c.Options)
	if spec, ok := handlers.Lookup(c.Handler); ok {
		for _, o := range spec.Options {
			if path, ok := c.Options[o.Key].(string); ok && o.Kind == handlers.Path {
				c.Options[o.Key] = Absolute(dir, path)
			}
		}
	}
	return c
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
