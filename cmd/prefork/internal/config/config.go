package config

import (
	"errors"
	"fmt"
	"time"

	"prefork/internal/value"
)

// Config is a complete configuration. The fields carry the names of the keys;
// what they mean is told at Keys.
type Config struct {
	Listen           []string
	Handler          string
	Options          map[string]any // the handler's own; nil if there are none
	Mode             string
	Workers          Workers
	Control          string
	PIDFile          string
	LogFile          string
	LogFormat        string
	LogLevel         string
	Metrics          string
	StatusPage       bool
	RequestQueueSize int
	ReuseAddress     bool
	Poller           string
	PollInterval     time.Duration

	MaxConnections int
	MaxChildren    int
	MinSpare       int
	MaxSpare       int
	CrashBudget    float64

	ReadTimeout    time.Duration
	WriteTimeout   time.Duration
	IdleTimeout    time.Duration
	HandlerTimeout time.Duration
	DrainTimeout   time.Duration
	DrainIdle      time.Duration
	LameDuck       time.Duration
	WorkerTimeout  time.Duration

	StartTimeout      time.Duration
	Probation         time.Duration
	MaxOldGenerations int

	RecycleConnections uint64
	RecycleAge         time.Duration
	RecycleRSS         value.Size

	AccessLog    string
	AccessFormat string
	AccessSample float64

	// ListenGiven says that listen is configured. If it is not, the server takes
	// Listen only where systemd has passed it no sockets.
	ListenGiven bool
}

// NoControl as the value of Control means that there is no control socket.
const NoControl = "none"

// Default returns the configuration of an empty file.
func Default() Config {
	var c Config
	for _, k := range Keys() {
		if err := k.setText(&c, k.defaults()...); err != nil {
			// The table is wrong, which its test shows; there is no Config to give.
			panic("config: default of " + k.Name + ": " + err.Error())
		}
	}
	return c
}

// Fixed says what a reload would change although it cannot.
func Fixed(was, is *Config) error {
	var problems []error
	for _, k := range Keys() {
		if before, after := k.Text(was), k.Text(is); k.Fixed && before != after {
			problems = append(problems, fmt.Errorf("%s: %s cannot become %s in a reload; restart the server", k.Name, before, after))
		}
	}
	return errors.Join(problems...)
}
