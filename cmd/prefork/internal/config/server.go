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
		Listen:    c.Listen,
		Configure: handlers.Configure,
		Settings:  settings,

		Mode:             worker.Mode(c.Mode),
		Workers:          c.Workers.Min,
		MaxWorkers:       c.Workers.Max,
		MinSpare:         c.MinSpare,
		MaxSpare:         c.MaxSpare,
		MaxChildren:      c.MaxChildren,
		RequestQueueSize: c.RequestQueueSize,
		NoReuseAddress:   !c.ReuseAddress,

		MaxConnections: c.MaxConnections,
		ReadTimeout:    c.ReadTimeout,
		WriteTimeout:   c.WriteTimeout,
		IdleTimeout:    c.IdleTimeout,
		HandlerTimeout: c.HandlerTimeout,
		PollInterval:   c.PollInterval,
		Poller:         c.Poller,
		DrainIdle:      c.DrainIdle,

		DrainTimeout:      c.DrainTimeout,
		LameDuck:          c.LameDuck,
		StartTimeout:      c.StartTimeout,
		Probation:         c.Probation,
		WorkerTimeout:     c.WorkerTimeout,
		CrashBudget:       c.CrashBudget,
		MaxOldGenerations: c.MaxOldGenerations,

		RecycleConnections: c.RecycleConnections,
		RecycleAge:         c.RecycleAge,
		RecycleRSS:         uint64(c.RecycleRSS),

		AccessLog:    c.AccessLog,
		AccessFormat: c.AccessFormat,
		AccessSample: c.AccessSample,

		LogLevel:  c.LogLevel,
		LogFormat: c.LogFormat,
		LogFile:   c.LogFile,
		PIDFile:   c.PIDFile,
		Control:   c.Control,
	}
	if !c.ListenGiven {
		s.Listen = nil // what systemd passed, or else the default
	}
	for _, limit := range []*time.Duration{&s.WorkerTimeout, &s.WriteTimeout, &s.IdleTimeout} {
		if *limit == 0 {
			*limit = -1 // never, where 0 would be the default
		}
	}
	if c.Control == NoControl {
		s.Control = ""
	}
	return s, nil
}
