package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"prefork"
)

// Item is what a stream tells: one of the two is set.
type Item struct {
	Status *prefork.Status // once a second
	Event  *prefork.Event  // a line of the master's log
}

// Stream follows the server from the event after on, and calls f for each item,
// until f fails, ctx ends, or the server ends the stream, which is no error:
// it has ended, or is about to.
func (c *Client) Stream(ctx context.Context, after uint64, f func(Item) error) error {
	url := "http://prefork/v1/stream?after=" + strconv.FormatUint(after, 10)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what came of it is shown
		return refusal(resp.StatusCode, body)
	}
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
