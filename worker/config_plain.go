package worker

import (
	"encoding/json"

	"prefork/internal/plainjson"
)

// parseConfig reads what the master sends; nothing is the zero Config.
func parseConfig(data []byte) (c Config, err error) {
	if len(data) == 0 || c.readAllPlain(data) {
		return c, nil
	}
	c = Config{}
	return c, json.Unmarshal(data, &c)
}

func (c *Config) readAllPlain(data []byte) bool { return plainjson.Object(data, c.readPlain) }

// readPlain reads a field of a Config as the master writes it, without reflection:
// this is a part of the time that a worker takes to start. A Config of which it does not
// understand a part is read by encoding/json.
func (c *Config) readPlain(key string, v plainjson.Value) bool {
	switch key {
	case "mode":
		return plainjson.String(v, &c.Mode)
	case "max_connections":
		return plainjson.Int(v, &c.MaxConnections)
	case "read_timeout":
		return plainjson.Int(v, &c.ReadTimeout)
	case "write_timeout":
		return plainjson.Int(v, &c.WriteTimeout)
	case "idle_timeout":
		return plainjson.Int(v, &c.IdleTimeout)
	case "handler_timeout":
		return plainjson.Int(v, &c.HandlerTimeout)
	case "handshake_timeout":
		return plainjson.Int(v, &c.HandshakeTimeout)
	case "max_message":
		return plainjson.Int(v, &c.MaxMessage)
	case "max_unsent":
		return plainjson.Int(v, &c.MaxUnsent)
	case "timeout":
		return plainjson.Int(v, &c.Timeout)
	case "poll_interval":
		return plainjson.Int(v, &c.PollInterval)
	case "drain_timeout":
		return plainjson.Int(v, &c.DrainTimeout)
	case "drain_idle":
		return plainjson.Int(v, &c.DrainIdle)
	case "poller":
		return plainjson.String(v, &c.Poller)
	case "access_log":
		return v.Bool(&c.AccessLog)
	case "access_format":
		return plainjson.String(v, &c.AccessFormat)
	case "access_sample":
		return v.Float(&c.AccessSample)
	case "settings":
		return v.Raw(&c.Settings)
	}
	return false
}
