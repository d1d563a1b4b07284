package config

import (
	"encoding/json"
	"fmt"
	"time"

	"prefork"
	"prefork/worker"
	"prefork/worker/handlers"
)

// Server returns the server that the configuration describes, less what is
// the caller's: Reload and Version.
func (c Config) Server() (*prefork.Server, error) {
	settings, err := json.Marshal(handlers.Settings{Handler: c.Handler, Options: c.Options})
	if err != nil {
		return nil, fmt.Errorf("encode handler options: %w", err)
	}
	s := &prefork.Server{
		Configure: handlers.Configure,
		Config: prefork.Config{
			Listen:           c.Listen,
			Settings:         settings,
			Mode:             worker.Mode(c.Mode),
			Workers:          c.Workers.Min,
			MaxWorkers:       c.Workers.Max,
			LogLevel:         c.LogLevel,
			RequestQueueSize: c.RequestQueueSize,
			NoReuseAddress:   !c.ReuseAddress,
			PollInterval:     c.PollInterval,
			Poller:           c.Poller,
			Limits: prefork.Limits{
				MaxConnections: c.MaxConnections,
				MaxChildren:    c.MaxChildren,
				MinSpare:       c.MinSpare,
				MaxSpare:       c.MaxSpare,
				CrashBudget:    c.CrashBudget,
			},
			Timeouts: prefork.Timeouts{
				ReadTimeout:    c.ReadTimeout,
				WriteTimeout:   c.WriteTimeout,
				IdleTimeout:    c.IdleTimeout,
				HandlerTimeout: c.HandlerTimeout,
				DrainTimeout:   c.DrainTimeout,
				DrainIdle:      c.DrainIdle,
				LameDuck:       c.LameDuck,
				WorkerTimeout:  c.WorkerTimeout,
			},
			Rollout: prefork.Rollout{
				StartTimeout:      c.StartTimeout,
				Probation:         c.Probation,
				MaxOldGenerations: c.MaxOldGenerations,
			},
			Recycle: prefork.Recycle{
				Connections: c.RecycleConnections,
				Age:         c.RecycleAge,
				RSS:         uint64(c.RecycleRSS),
			},
			Access: prefork.Access{Format: c.AccessFormat, Sample: c.AccessSample},
		},
		AccessLog: c.AccessLog,
		LogFormat: c.LogFormat,
		LogFile:   c.LogFile,
		PIDFile:   c.PIDFile,
		Control:   c.Control,
	}
	if !c.ListenGiven {
		s.Listen = nil // what systemd passed, or else the default
	}
	for _, limit := range []*time.Duration{&s.Timeouts.WorkerTimeout, &s.Timeouts.WriteTimeout, &s.Timeouts.IdleTimeout} {
		if *limit == 0 {
			*limit = worker.Disabled // never, where 0 would be the default
		}
	}
	if c.Control == NoControl {
		s.Control = ""
	}
	return s, nil
}
