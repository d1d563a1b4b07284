package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"prefork"
	"prefork/cmd/prefork/internal/metrics"
	"prefork/cmd/prefork/internal/nearest"
	"prefork/worker"
	"prefork/worker/handlers"
)

// validate looks at what the values mean, alone and together. Keys that could
// not be read are left out: they have been reported.
func (l *loader) validate() {
	l.addresses()
	l.handler()
	l.spares()
	l.workerTimeout()
	l.access()
	l.metrics()
	if len(l.problems) == 0 {
		l.server()
	}
}

func (l *loader) addresses() {
	if l.bad["listen"] {
		return
	}
	for _, what := range CheckListen(l.config.Listen...) {
		l.blame("listen", what)
	}
}

// CheckListen returns what is wrong with addresses to listen on.
func CheckListen(addresses ...string) (problems []string) {
	s := prefork.Server{Config: prefork.Config{Listen: addresses}, Configure: handlers.Configure}
	for _, err := range s.Validate() {
		problems = append(problems, strings.TrimPrefix(err.Error(), "listen "))
	}
	return problems
}

func (l *loader) handler() {
	if l.bad["handler"] {
		return
	}
	name := l.config.Handler
	spec, ok := handlers.Lookup(name)
	if !ok {
		l.blame("handler", fmt.Sprintf("unknown handler %q%s", name, suggest(name, handlers.Names())))
		return
	}
	problems := spec.Check(l.config.Options)
	for _, p := range problems {
		what := fmt.Sprintf("%s: %v", p.Key, p.Err)
		if errors.Is(p.Err, handlers.ErrUnknownOption) {
			what = fmt.Sprintf("unknown option %q of handler %s%s", p.Key, name, l.meant(p.Key, optionNames(name)))
		}
		l.option(p.Key, what)
	}
	if l.deep && len(problems) == 0 {
		var p *handlers.OptionError
		if err := spec.Configure(l.config.Options, new(worker.Options)); errors.As(err, &p) {
			l.option(p.Key, fmt.Sprintf("%s: %v", p.Key, p.Err))
		} else if err != nil {
			l.blame("handler", err.Error())
		}
	}
}

// option notes a problem with one of the handler's options.
func (l *loader) option(name, what string) {
	switch o := l.origin[pathOf(OptionsTable, name)]; o.flag {
	case "":
		l.add(o.line, "%s", what)
	default:
		l.problems = append(l.problems, Problem{What: o.flag + ": " + strings.TrimPrefix(what, name+": ")})
	}
}

// meant guesses what an unknown option is: a misspelt one, or a key of the
// daemon, for in TOML everything below a table's header belongs to the table.
func (l *loader) meant(option string, valid []string) string {
	if hint := nearest.Hint(option, valid); hint != "" {
		return hint
	}
	if k, ok := l.keys[option]; ok {
		return "; the key " + option + " goes " + place(k)
	}
	if len(valid) == 0 {
		return "; it has none"
	}
	return "; it has " + strings.Join(valid, ", ")
}

// place says where in a file a key belongs.
func place(k Key) string {
	if k.Table == "" {
		return "above the first table"
	}
	return "in [" + k.Table + "]"
}

func (l *loader) spares() {
	c := &l.config
	if !l.bad["min_spare"] && !l.bad["max_spare"] && c.MaxSpare > 0 && c.MaxSpare < c.MinSpare {
		l.blame("max_spare", fmt.Sprintf("%d is below min_spare, which is %d", c.MaxSpare, c.MinSpare))
	}
	if c.Mode != "forking" || l.bad["mode"] || l.bad["max_children"] {
		return
	}
	if !l.bad["min_spare"] && c.MinSpare > c.MaxChildren {
		l.blame("min_spare", fmt.Sprintf("%d is above max_children, which is %d", c.MinSpare, c.MaxChildren))
	}
	if !l.bad["workers"] && c.MinSpare == 0 && c.Workers.Min > c.MaxChildren {
		l.blame("workers", fmt.Sprintf("%d spare workers are above max_children, which is %d", c.Workers.Min, c.MaxChildren))
	}
}

// workerTimeout asks the library, where 0 is another value.
func (l *loader) workerTimeout() {
	if l.bad["worker_timeout"] || l.config.WorkerTimeout == 0 {
		return
	}
	alone := prefork.Server{Configure: handlers.Configure}
	alone.Timeouts.WorkerTimeout = l.config.WorkerTimeout
	for _, err := range alone.Validate() {
		l.blame("worker_timeout", strings.TrimPrefix(err.Error(), "worker_timeout: "))
	}
}

func (l *loader) access() {
	c := &l.config
	const unused = "it is about the access log, and access_log is empty"
	none := c.AccessLog == "" && !l.bad["access_log"]
	switch {
	case l.bad["access_sample"]:
	case c.AccessSample == 0:
		l.blame("access_sample", "above 0, not 0")
	case none && c.AccessSample != 1:
		l.blame("access_sample", unused)
	}
	if l.bad["access_format"] || c.AccessFormat != worker.AccessCommon {
		return
	}
	if none {
		l.blame("access_format", unused)
	} else if spec, ok := handlers.Lookup(c.Handler); ok && !spec.HTTP {
		l.blame("access_format", fmt.Sprintf("common is for a handler that serves HTTP, which %s does not; json is for all", c.Handler))
	}
}

func (l *loader) metrics() {
	if l.bad["metrics"] {
		return
	}
	switch address := l.config.Metrics; {
	case address != "":
		if _, err := metrics.ParseAddress(address); err != nil {
			l.blame("metrics", err.Error())
		}
	case l.config.StatusPage && !l.bad["status_page"]:
		l.blame("status_page", "it is served on the metrics address, and metrics is empty")
	}
}

// server asks the library, whose word is the last. Its errors begin with the
// name of the field, which is the key's.
func (l *loader) server() {
	s, err := l.config.Server()
	if err != nil {
		l.add(0, "%v", err)
		return
	}
	for _, err := range s.Validate() {
		name, what, ok := strings.Cut(err.Error(), ": ")
		if _, known := l.keys[name]; ok && known {
			l.blame(name, what)
			continue
		}
		l.add(0, "%v", err)
	}
}

// optionNames returns the names of a handler's options, sorted.
func optionNames(handler string) []string {
	spec, ok := handlers.Lookup(handler)
	if !ok {
		return nil
	}
	names := make([]string, len(spec.Options))
	for i, o := range spec.Options {
		names[i] = o.Key
	}
	slices.Sort(names)
	return names
}
