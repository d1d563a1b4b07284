package main

import (
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"prefork"
	"prefork/cmd/prefork/internal/config"
	"prefork/cmd/prefork/internal/metrics"
	"prefork/cmd/prefork/internal/page"
	"prefork/internal/logs"
)

// observer serves metrics and the status page, besides the control socket.
type observer struct {
	server *metrics.Server // nil if the configuration wants none
	log    *zap.Logger
	stop   func() // ends the check of the socket's file
}

// observe puts /metrics on the control socket, and binds the configured address
// of the metrics. That is done first, so that an address that is in use is
// reported before anything runs. The answers come from s once it runs.
func observe(c *config.Config, s *prefork.Server) (*observer, error) {
	scrape := metrics.Handler(s.Status)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	s.ControlHandler = mux
	if c.Metrics == "" {
		return &observer{}, nil
	}
	address, err := metrics.ParseAddress(c.Metrics)
	if err != nil {
		return nil, &prefork.ConfigError{Err: err}
	}
	// The master makes its own log in Run; this one has the same format.
	log, _, err := logs.New(c.LogFormat, c.LogLevel, os.Stderr)
	if err != nil {
		return nil, &prefork.ConfigError{Err: err}
	}
	log = log.With(zap.String("role", "master"))
	o := &observer{server: &metrics.Server{Metrics: scrape}, log: log}
	if c.StatusPage {
		o.server.Page = page.Handler()
		o.server.Events = http.HandlerFunc(s.ServeStream)
	}
	if err := o.server.Serve(address, zap.NewStdLog(log)); err != nil {
		return nil, err
	}
	log.Info("metrics served", zap.String("address", o.server.Addr().String()), zap.Bool("status_page", c.StatusPage))
	o.stop = o.server.Keep(10*time.Second, func(err error) {
		if err != nil {
			log.Warn("metrics socket not restored", zap.Error(err))
			return
		}
		log.Warn("metrics socket restored", zap.String("path", c.Metrics))
	})
	return o, nil
}

// Close ends what observe began.
func (o *observer) Close() {
	if o.server == nil {
		return
	}
	o.stop()
	o.server.Close()
	_ = o.log.Sync() // there is nowhere to report an error
}
