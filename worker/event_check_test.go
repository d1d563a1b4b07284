package worker

import (
	"context"
	"strings"
	"testing"
)

type noEvents struct{}

func (noEvents) Open(*Conn) error                             { return nil }
func (noEvents) Data(_ *Conn, in []byte, _ bool) (int, error) { return len(in), nil }
func (noEvents) Close(*Conn, error)                           {}

func TestCheckNamesWhatAProgramOfModeEventLacks(t *testing.T) {
	context := func(ctx context.Context, _ *Conn) context.Context { return ctx }
	for _, c := range []struct {
		cfg  Config
		o    Options
		want string
	}{
		{Config{Mode: Event}, Options{Handler: echo}, "mode event: set EventHandler"},
		{Config{Mode: Threading}, Options{EventHandler: noEvents{}}, "mode threading: the EventHandler"},
		{Config{Mode: Event}, Options{EventHandler: noEvents{}, Hooks: Hooks{ConnContext: context}}, "ConnContext"},
		{Config{Mode: Event, AccessLog: true, AccessFormat: AccessCommon}, Options{EventHandler: noEvents{}}, "access_format"},
	} {
		if err := c.o.Check(c.cfg.WithDefaults()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check: %v, want %q", err, c.want)
		}
	}
	both := Options{Handler: echo, EventHandler: noEvents{}}
	if err := both.Check(Config{Mode: Threading}); err != nil {
		t.Errorf("a program for both: %v", err)
	}
}
