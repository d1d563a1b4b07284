package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
)

// control is a client of a master's control socket.
type control struct {
	path   string
	client *http.Client
}

// status is what the benchmarks read of GET /v1/status.
type status struct {
	State     string `json:"state"`
	Listeners []struct {
		Address string `json:"address"`
	} `json:"listeners"`
	Workers []struct {
		Slot  int     `json:"slot"`
		PID   int     `json:"pid"`
		State string  `json:"state"`
		AgeS  float64 `json:"age_s"`

		Accepted int `json:"accepted"`
	} `json:"workers"`
}

func newControl(path string) *control {
	var d net.Dialer
	return &control{path: path, client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

func (c *control) close() { c.client.CloseIdleConnections() }

// status asks for the status.
func (c *control) status(ctx context.Context) (status, error) {
	var s status
	return s, c.call(ctx, http.MethodGet, "status", &s)
}

// command gives a command and waits for its verdict.
func (c *control) command(ctx context.Context, name string) error {
	var answer struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if err := c.call(ctx, http.MethodPost, name, &answer); err != nil {
		return err
	}
	if !answer.OK {
		return fmt.Errorf("%s: %s", name, answer.Error)
	}
	return nil
}

func (c *control) call(ctx context.Context, method, name string, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://prefork/v1/"+name, nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: HTTP %d, %q: %w", name, response.StatusCode, data, err)
	}
	return nil
}
