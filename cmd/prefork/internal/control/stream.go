package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"prefork"
)

// Item is one item of a stream: one of the two is set.
type Item struct {
	Status *prefork.Status // once a second
	Event  *prefork.Event  // a line of the master's log
}

// Stream follows the server and calls f for each item, until f fails, ctx ends, or
// the server ends the stream. That is no error: it has ended, or is about to.
func (c *Client) Stream(ctx context.Context, f func(Item) error) error {
	resp, err := c.request(ctx, http.MethodGet, "stream", url.Values{"after": {"0"}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = items(resp.Body, f)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// items reads server-sent events. The server writes one data line each, so that
// is all that is understood.
func items(r io.Reader, f func(Item) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAnswer)
	name := ""
	for lines.Scan() {
		key, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(key) {
		case "event":
			name = string(value)
		case "data":
			item, err := decodeItem(name, value)
			if err != nil {
				return err
			}
			if item == (Item{}) {
				continue // of a newer server
			}
			if err := f(item); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read stream: %w", err)
	}
	return nil
}

func decodeItem(name string, data []byte) (Item, error) {
	var item Item
	var into any
	switch name {
	case "status":
		item.Status = new(prefork.Status)
		into = item.Status
	case "log":
		item.Event = new(prefork.Event)
		into = item.Event
	default:
		return item, nil
	}
	if err := decode(data, into); err != nil {
		return Item{}, fmt.Errorf("read stream: event %q: %w", name, err)
	}
	return item, nil
}
