// Package testconf is the format of the test server's configuration file: what
// to serve and how to misbehave. The integration tests write the file. The
// server reads it again on every reload, so a test can change it.
package testconf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config is the whole file. Zero values are the server's defaults.
type Config struct {
	Listen []string `json:"listen"`

	Mode        string `json:"mode,omitempty"`
	Spawn       string `json:"spawn,omitempty"`
	Workers     int    `json:"workers,omitempty"`
	MaxWorkers  int    `json:"max_workers,omitempty"`
	MinSpare    int    `json:"min_spare,omitempty"`
	MaxSpare    int    `json:"max_spare,omitempty"`
	MaxChildren int    `json:"max_children,omitempty"`
	Backlog     int    `json:"backlog,omitempty"`

	MaxConnections int           `json:"max_connections,omitempty"`
	DrainIdle      time.Duration `json:"drain_idle,omitempty"`
	DrainTimeout   time.Duration `json:"drain_timeout,omitempty"`
	LameDuck       time.Duration `json:"lame_duck,omitempty"`
	StartTimeout   time.Duration `json:"start_timeout,omitempty"`
	Probation      time.Duration `json:"probation,omitempty"`
	WorkerTimeout  time.Duration `json:"worker_timeout,omitempty"`
	PollInterval   time.Duration `json:"poll_interval,omitempty"`

	CrashBudget        float64 `json:"crash_budget,omitempty"`
	MaxOldGenerations  int     `json:"max_old_generations,omitempty"`
	RecycleConnections uint64  `json:"recycle_connections,omitempty"`
	RecycleRSS         uint64  `json:"recycle_rss,omitempty"`

	Control  string `json:"control,omitempty"`
	PIDFile  string `json:"pid_file,omitempty"`
	LogFile  string `json:"log_file,omitempty"`
	LogLevel string `json:"log_level,omitempty"`

	// Error makes Read fail with this text, as for a bad configuration.
	Error string `json:"error,omitempty"`

	Program Program `json:"program"`
}

// Program is the part that the workers get as their settings.
type Program struct {
	Kind string `json:"kind,omitempty"` // "line", "http" or "site" (the handler http); default "line"
	Tag  string `json:"tag,omitempty"`  // the answer to "tag", which identifies the configuration

	// Boot is what a worker does instead of becoming ready.
	Boot      Boot          `json:"boot,omitempty"`
	BootDelay time.Duration `json:"boot_delay,omitempty"` // with Slow

	// Attacks are hostile commands that each worker runs before it is ready.
	Attacks []string `json:"attacks,omitempty"`

	// CrashAfter makes each worker exit with status 3 this long after its start.
	CrashAfter time.Duration `json:"crash_after,omitempty"`

	// HTTPLameDuck is how long an idle keep-alive connection is kept in a drain.
	HTTPLameDuck time.Duration `json:"http_lame_duck,omitempty"`
}

// Boot is a way to start.
type Boot string

// The ways to start.
const (
	Normal  Boot = ""
	Exits   Boot = "exits"    // os.Exit(1) before Ready
	Exits78 Boot = "exits 78" // os.Exit(78) before Ready
	Refuses Boot = "refuses"  // Configure returns an error
	Panics  Boot = "panics"   // a panic before Ready
	Never   Boot = "never"    // never ready
	Slow    Boot = "slow"     // ready after BootDelay
)

// Read decodes the file at path strictly.
func Read(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	c := new(Config)
	if err := decoder.Decode(c); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	if c.Error != "" {
		return nil, fmt.Errorf("%s: %s", path, c.Error)
	}
	return c, nil
}

// Write writes c to path atomically: a reader sees the old file or the new one.
func Write(path string, c Config) error {
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
