package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"prefork"
	"prefork/cmd/prefork/internal/metrics"
	"prefork/cmd/prefork/internal/nearest"
	"prefork/worker"
)

// validate looks at what the values mean, alone and together. Keys that could
// not be read are left out: they have been reported.
func (l *loader) validate() {
	l.handler()
	l.access()
	l.metrics()
	l.library()
}

// library asks the library, whose errors begin with the name of a key. One that
// names a key that could not be read is about its default.
func (l *loader) library() {
	s := prefork.Server{Config: l.config.Config, Configure: Configure}
	for _, err := range s.Validate() {
		what := err.Error()
		key, rest, _ := strings.Cut(what, ": ")
		_, known := l.keys[key]
		switch address, isListen := strings.CutPrefix(what, "listen "); {
		case isListen:
			l.blame("listen", address)
		case slices.ContainsFunc(slices.Collect(maps.Keys(l.bad)), func(bad string) bool { return strings.Contains(what, bad) }):
		case known:
			l.blame(key, rest)
		default:
			l.add(0, "%s", what)
		}
	}
}

// CheckListen returns what is wrong with addresses to listen on.
func CheckListen(addresses ...string) (problems []string) {
	s := prefork.Server{Config: prefork.Config{Listen: addresses}, Configure: Configure}
	for _, err := range s.Validate() {
		problems = append(problems, strings.TrimPrefix(err.Error(), "listen "))
	}
	return problems
}

// handler reads the options into the handler's program.
func (l *loader) handler() {
	if l.bad["handler"] {
		return
	}
	c := &l.config
	h, ok := LookupHandler(c.Handler)
	if !ok {
		l.blame("handler", fmt.Sprintf("unknown handler %q%s", c.Handler, suggest(c.Handler, HandlerNames())))
		return
	}
	c.program = h.new()
	options, problems := h.Options(), len(l.problems)
	for _, name := range slices.Sorted(maps.Keys(l.options)) {
		i := slices.IndexFunc(options, func(o Key) bool { return o.Key == name })
		if i < 0 {
			l.option(name, fmt.Sprintf("unknown option %q of handler %s%s", name, h.Name, l.meant(name, keyNames(options))))
			continue
		}
		if err := set(&options[i], options[i].In(reflect.ValueOf(c.program).Elem()), l.options[name]); err != nil {
			l.option(name, fmt.Sprintf("%s: %v", name, err))
		}
	}
	if len(l.problems) > problems {
		return
	}
	l.event(h)
	if l.deep {
		var p *optionError
		if err := c.program.build(new(worker.Options)); errors.As(err, &p) {
			l.option(p.key, p.Error())
		} else if err != nil {
			l.blame("handler", err.Error())
		}
	}
	if err := c.encode(); err != nil {
		l.blame("handler", err.Error())
	}
}

// event looks at what the handler needs in mode event.
func (l *loader) event(h Handler) {
	c := &l.config
	if c.Mode != worker.Event || l.bad["mode"] {
		return
	}
	if h.HTTP {
		l.blame("mode", fmt.Sprintf("the handler %s does not run in mode event; use threading", h.Name))
	}
	sized, ok := c.program.(interface{ fits(prefork.Limits) error })
	if !ok || l.bad["max_message"] || l.bad["max_unsent"] {
		return
	}
	if err := sized.fits(c.Limits); err != nil {
		key, _, _ := strings.Cut(err.Error(), ": ")
		l.option(key, err.Error())
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

func (l *loader) access() {
	c := &l.config
	const unused = "it is about the access log, and access_log is empty"
	none := c.AccessLog == "" && !l.bad["access_log"]
	switch {
	case l.bad["access_sample"]:
	case c.Access.Sample == 0:
		l.blame("access_sample", "above 0, not 0")
	case none && c.Access.Sample != 1:
		l.blame("access_sample", unused)
	}
	if l.bad["access_format"] || c.Access.Format != worker.AccessCommon {
		return
	}
	if none {
		l.blame("access_format", unused)
	} else if spec, ok := LookupHandler(c.Handler); ok && !spec.HTTP {
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

func keyNames(keys []Key) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Key
	}
	return names
}
