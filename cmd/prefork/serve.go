package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"prefork"
	"prefork/cmd/prefork/internal/config"
	"prefork/cmd/prefork/internal/control"
)

// source is where a configuration comes from: once at the start, and again at
// every reload.
type source struct {
	file  string
	flags config.Flags
	dir   string // that relative paths are taken from: where the server was started

	started config.Config // what the first generation was made of
}

func newServe() *cobra.Command {
	src := &source{}
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "run a server in the foreground",
		GroupID: groupServe,
		Long: `Binds the sockets, starts the workers and serves until it is told to end. Without
flags: the handler upper on tcp://127.0.0.1:9999, one worker a CPU, a goroutine
per connection.

A flag that is given wins over the file. Each flag but --config and --option is a
key of the file too, with underscores for the dashes.

Signals: HUP reloads the file, TERM drains, INT drains and a second one stops,
QUIT stops, USR1 reopens the logs, TTIN and TTOU add and remove a worker.`,
		Example: `  prefork serve
  prefork serve --config /etc/prefork.toml
  prefork serve --handler http --option root=./public --listen tcp://:8080
  prefork serve --mode forking --max-children 100 --listen unix:///run/app.sock`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := src.server()
			if err != nil {
				return err
			}
			watch, err := observe(&src.started, s)
			if err != nil {
				return err
			}
			defer watch.Close()
			// Signals are the master's business from here on.
			return s.Run(cmd.Context())
		},
	}
	src.bind(cmd)
	return cmd
}

// bind adds the flags of a configuration to a command.
func (s *source) bind(cmd *cobra.Command) {
	cmd.Flags().Var((*given)(&s.file), "config", "read the configuration from this `FILE`")
	cmd.Flags().SortFlags = false // they come in the order of the file
	s.flags.Bind(cmd.Flags())
	completeConfig(cmd)
}

// server returns what the first generation runs.
func (s *source) server() (*prefork.Server, error) {
	c, err := config.Load(s.file, &s.flags)
	if err != nil {
		return nil, err
	}
	// By the path by which the shell knows it, which may lead through a link: if
	// that is moved, a reload finds what is there then.
	if s.dir, err = os.Getwd(); err != nil {
		s.dir = "." // removed; absolute paths are as good as ever
	}
	s.file = config.Absolute(s.dir, s.file)
	if err := c.At(s.dir); err != nil {
		return nil, err
	}
	if c.Control, err = controlPath(c); err != nil {
		return nil, err
	}
	s.started = c
	c.Spawn = c.SpawnMethod()
	server := &prefork.Server{
		Configure: config.Configure,
		Version:   build().String(),
		Config:    c.Config,
		Control:   c.Control,
		PIDFile:   c.PIDFile,
		LogFile:   c.LogFile,
		LogFormat: c.LogFormat,
		AccessLog: c.AccessLog,
	}
	if s.file != "" {
		server.Reload = s.reload
	}
	return server, nil
}

// reload reads the file again, under the same flags.
func (s *source) reload(context.Context) (*prefork.Config, error) {
	c, err := config.Load(s.file, &s.flags)
	if err != nil {
		return nil, err
	}
	if err := c.At(s.dir); err != nil {
		return nil, err
	}
	if c.Control == "" {
		c.Control = s.started.Control // whatever the first listener is now
	} else if c.Control, err = controlPath(c); err != nil {
		return nil, err
	}
	if err := config.Fixed(&s.started, &c); err != nil {
		return nil, err
	}
	c.Spawn = c.SpawnMethod()
	return &c.Config, nil
}

// controlPath returns where the control socket of a new server goes.
func controlPath(c config.Config) (string, error) {
	switch c.Control {
	case config.NoControl:
		return "", nil
	case "":
		return control.DefaultPath(c.Addresses()[0])
	}
	return c.Control, nil
}
