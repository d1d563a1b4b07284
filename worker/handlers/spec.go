package handlers

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"prefork/worker"
)

// Spec is a handler that can be asked for by name.
type Spec struct {
	Name    string
	Summary string   // one line
	Options []Option // in the order in which they should be shown
	HTTP    bool     // it serves HTTP, so that the access log can tell its requests

	build func(v values, o *worker.Options) error // an *OptionError
}

// specs is the registry: what is not in it does not exist.
var specs = []*Spec{&upperSpec, &echoSpec, &discardSpec, &httpSpec}

// Names returns the names of all handlers, sorted.
func Names() []string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	slices.Sort(names)
	return names
}

// Lookup returns the handler of that name. The Spec is shared: do not change
// it.
func Lookup(name string) (*Spec, bool) {
	for _, s := range specs {
		if s.Name == name {
			return s, true
		}
	}
	return nil, false
}

// Check returns every problem of options, sorted by key; none if the handler
// can take them. A value is of the type that TOML, JSON or a flag gives it. It
// touches nothing outside: whether a directory exists is found out by
// Configure.
func (s *Spec) Check(options map[string]any) []*OptionError {
	_, problems := s.parse(options)
	return problems
}

// Configure puts the handler into o, as its Handler or its Service. It is
// called once in a worker, and may open files that live as long as that.
func (s *Spec) Configure(options map[string]any, o *worker.Options) error {
	v, problems := s.parse(options)
	if len(problems) > 0 {
		all := make([]error, len(problems))
		for i, p := range problems {
			all[i] = p
		}
		return errors.Join(all...)
	}
	if err := s.build(v, o); err != nil {
		return fmt.Errorf("configure %w", err)
	}
	return nil
}

// parse checks options and fills in the defaults.
func (s *Spec) parse(options map[string]any) (values, []*OptionError) {
	v := make(values, len(s.Options))
	known := make(map[string]*Option, len(s.Options))
	for i := range s.Options {
		o := &s.Options[i]
		known[o.Key], v[o.Key] = o, o.Default
	}
	var problems []*OptionError
	for key, raw := range options {
		o := known[key]
		if o == nil {
			problems = append(problems, &OptionError{Handler: s.Name, Key: key, Err: s.unknown()})
			continue
		}
		parsed, err := o.parse(raw)
		if err != nil {
			problems = append(problems, &OptionError{Handler: s.Name, Key: key, Err: err})
			continue
		}
		v[key] = parsed
	}
	slices.SortFunc(problems, func(a, b *OptionError) int { return cmp.Compare(a.Key, b.Key) })
	return v, problems
}

// unknown says which keys there are instead.
func (s *Spec) unknown() error {
	if len(s.Options) == 0 {
		return fmt.Errorf("%w: it has none", ErrUnknownOption)
	}
	keys := make([]string, len(s.Options))
	for i := range s.Options {
		keys[i] = s.Options[i].Key
	}
	return fmt.Errorf("%w: it has %s", ErrUnknownOption, strings.Join(keys, ", "))
}

// Settings names a handler and its options, in the form in which they travel
// from the master to its workers.
type Settings struct {
	Handler string         `json:"handler"`
	Options map[string]any `json:"options,omitempty"`
}

// Configure is a worker.Options.Configure for Settings in JSON. The errors are
// those of a bad configuration.
func Configure(settings json.RawMessage, o *worker.Options) error {
	var s Settings
	if err := json.Unmarshal(settings, &s); err != nil {
		return fmt.Errorf("read handler settings: %w", err)
	}
	spec, ok := Lookup(s.Handler)
	if !ok {
		return fmt.Errorf("unknown handler %q: there are %s", s.Handler, strings.Join(Names(), ", "))
	}
	return spec.Configure(s.Options, o)
}
