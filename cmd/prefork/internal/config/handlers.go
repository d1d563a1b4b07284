package config

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"prefork"
	"prefork/internal/plainjson"
	"prefork/internal/setting"
	"prefork/internal/value"
	"prefork/worker"
	builtin "prefork/worker/handlers"
)

// Handler is a program that a configuration can name.
type Handler struct {
	Name    string
	Summary string // one line
	HTTP    bool   // it serves HTTP: the access log can tell its requests, and it has no mode event
	Forks   bool   // it is known to work in a forked process

	new func() program
}

// program is a pointer to a struct. Its fields are the handler's options, as the
// fields of Config are keys.
type program interface {
	// build makes the program, in a worker, for every mode that the handler has.
	// It may open files that live as long as the worker. The error is an
	// *optionError if an option is at fault.
	build(o *worker.Options) error
}

// handlers are all that there are, by name.
var handlers = []Handler{
	{
		Name:    "discard",
		Summary: "reads and drops everything, and answers nothing (RFC 863); status counts the bytes",
		Forks:   true,
		new:     func() program { return new(discard) },
	},
	{
		Name:    "echo",
		Summary: "sends every byte back as it comes (RFC 862)",
		Forks:   true,
		new:     func() program { return new(echo) },
	},
	{
		Name:    "http",
		Summary: "serves a directory's files over HTTP, and /healthz",
		HTTP:    true,
		new: func() program {
			return &site{
				ReadHeaderTimeout: 10 * time.Second,
				ReadTimeout:       time.Minute,
				IdleTimeout:       2 * time.Minute,
				MaxHeader:         64 << 10,
				LameDuck:          builtin.DefaultLameDuck,
			}
		},
	},
	{
		Name:    "upper",
		Summary: "answers each line in upper case (the letters a to z), until the client closes",
		Forks:   true,
		new:     func() program { return &upper{MaxLine: 64 << 10} },
	},
}

type upper struct {
	MaxLine value.Size `min:"1" max:"1GiB" help:"longest line in bytes, its line feed aside; a longer one is refused with a message, and the connection closed"`
}

func (u *upper) build(o *worker.Options) error {
	o.Handler = builtin.Upper(int(u.MaxLine))
	o.EventHandler = builtin.EventUpper(int(u.MaxLine))
	return nil
}

// eventRead is how much a worker reads at once in mode event.
const eventRead = 64 << 10

// fits says whether the longest line and its answer fit into what a connection may
// keep in mode event.
func (u *upper) fits(l prefork.Limits) error {
	const remedy = "which is %s; raise it, or use another mode than event"
	if uint64(u.MaxLine) > l.MaxMessage {
		return fmt.Errorf("max_line: %s is above max_message, "+remedy, u.MaxLine, value.Size(l.MaxMessage))
	}
	if need := u.MaxLine + eventRead; uint64(need) > l.MaxUnsent {
		return fmt.Errorf("max_line: %s needs %s of max_unsent, "+remedy, u.MaxLine, need, value.Size(l.MaxUnsent))
	}
	return nil
}

type echo struct{}

func (*echo) build(o *worker.Options) error {
	o.Handler = worker.HandlerFunc(builtin.Echo)
	o.EventHandler = builtin.EventEcho()
	return nil
}

type discard struct{}

func (*discard) build(o *worker.Options) error {
	o.Handler = worker.HandlerFunc(builtin.Discard)
	o.EventHandler = builtin.EventDiscard()
	return nil
}

type site struct {
	Root              string        `value:"PATH" help:"directory to serve, or a link to it, which may be moved; a page that says so if empty"`
	List              bool          `help:"list a directory that has no index.html, instead of 404"`
	Hidden            bool          `help:"serve names that begin with a dot; otherwise only .well-known"`
	ReadHeaderTimeout time.Duration `min:"1ms" max:"1h" help:"time for a request's header, from its first byte"`
	ReadTimeout       time.Duration `min:"1ms" max:"24h" help:"time for a whole request, its body included"`
	IdleTimeout       time.Duration `min:"1ms" max:"24h" help:"how long a connection may wait for its next request"`
	MaxHeader         value.Size    `min:"4KiB" max:"16MiB" help:"longest header of a request in bytes"`
	LameDuck          time.Duration `min:"1ms" max:"1h" help:"how long a connection must be silent during a drain before it is closed"`
}

func (s *site) build(o *worker.Options) error {
	files, err := builtin.Files(s.Root, s.List, s.Hidden)
	if err != nil {
		return &optionError{"root", err}
	}
	service := builtin.HTTPServer(&http.Server{
		Handler:           files,
		ReadHeaderTimeout: s.ReadHeaderTimeout,
		ReadTimeout:       s.ReadTimeout,
		IdleTimeout:       s.IdleTimeout,
		MaxHeaderBytes:    int(s.MaxHeader),
	})
	service.LameDuck = s.LameDuck
	o.Service = service
	return nil
}

// optionError is what the worker found wrong with an option.
type optionError struct {
	key string
	err error
}

func (e *optionError) Error() string { return e.key + ": " + e.err.Error() }

// SpawnMethod returns how mode forking starts the handler's processes. With auto that
// is a fork for the handlers that are known to work then.
func (c *Config) SpawnMethod() prefork.Spawn {
	if h, found := LookupHandler(c.Handler); c.Spawn == prefork.SpawnAuto && found && h.Forks {
		return prefork.SpawnFork
	}
	return c.Spawn
}

// HandlerNames returns the names of all handlers, sorted.
func HandlerNames() []string {
	names := make([]string, len(handlers))
	for i, h := range handlers {
		names[i] = h.Name
	}
	return names
}

// LookupHandler returns the handler of that name.
func LookupHandler(name string) (h Handler, found bool) {
	i := slices.IndexFunc(handlers, func(h Handler) bool { return h.Name == name })
	if i < 0 {
		return Handler{}, false
	}
	return handlers[i], true
}

// Options describes the handler's options.
func (h Handler) Options() []Key { return optionsOf(h.new()) }

// DefaultText returns the default of an option as the file would say it.
func (h Handler) DefaultText(o *Key) string { return text(o, o.In(reflect.ValueOf(h.new()).Elem())) }

func optionsOf(p program) []Key { return setting.Of(reflect.TypeOf(p).Elem()) }

// encode puts the handler and its options into Settings, for Configure.
func (c *Config) encode() (err error) {
	s := settings{Handler: c.Handler}
	if h, ok := LookupHandler(c.Handler); !ok || !reflect.DeepEqual(c.program, h.new()) {
		if s.Options, err = json.Marshal(c.program); err != nil {
			return err
		}
	}
	c.Settings, err = json.Marshal(s)
	return err
}

// settings travel from the master to its workers.
type settings struct {
	Handler string
	Options json.RawMessage `json:",omitempty"` // nothing for the defaults
}

// readPlain reads a field without reflection, which would make a worker start later.
func (s *settings) readPlain(key string, v plainjson.Value) bool {
	switch key {
	case "Handler":
		return plainjson.String(v, &s.Handler)
	case "Options":
		return v.Raw(&s.Options)
	}
	return false
}

// Configure is the Configure of a prefork.Server whose Config this package made.
func Configure(data json.RawMessage, o *worker.Options) error {
	var s settings
	if !plainjson.Object(data, s.readPlain) {
		s = settings{}
		if err := json.Unmarshal(data, &s); err != nil {
			return fmt.Errorf("read handler settings: %w", err)
		}
	}
	h, ok := LookupHandler(s.Handler)
	if !ok {
		return fmt.Errorf("unknown handler %q: there are %s", s.Handler, strings.Join(HandlerNames(), ", "))
	}
	p := h.new()
	if len(s.Options) > 0 {
		if err := json.Unmarshal(s.Options, p); err != nil {
			return fmt.Errorf("read options of handler %s: %w", s.Handler, err)
		}
	}
	if err := p.build(o); err != nil {
		return fmt.Errorf("configure handler %s: %w", s.Handler, err)
	}
	return nil
}
