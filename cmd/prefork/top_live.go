package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"prefork/cmd/prefork/internal/control"
	"prefork/cmd/prefork/internal/screen"
	"prefork/cmd/prefork/internal/top"
)

// repaint is how long a change may wait before it is painted, so that many log
// lines do not cause as many frames.
const repaint = 30 * time.Millisecond

// topView is the live view. One goroutine owns the model and paints; others
// read keys, follow the stream and wait for verdicts.
type topView struct {
	client   *control.Client
	patience time.Duration // for a command's verdict; 0 is no limit
	model    *top.Model
	terminal *screen.Terminal

	items    chan control.Item
	keys     chan screen.Key
	verdicts chan verdict
	streamed chan error // how the stream ended
	failed   chan error // what the keys' reader or a panic says
}

// verdict is the outcome of a command.
type verdict struct {
	wish top.Wish
	err  error
}

// topLive shows the server until the user quits.
func topLive(ctx context.Context, c *control.Client, patience time.Duration) error {
	v := &topView{
		client: c, patience: patience, model: top.New(),
		items: make(chan control.Item, 64), keys: make(chan screen.Key), verdicts: make(chan verdict),
		streamed: make(chan error, 1), failed: make(chan error, 1),
	}
	err := v.run(ctx)
	if !errors.Is(err, errServerEnded) {
		return err
	}
	if err := topEnded(v.model); err != nil {
		return err
	}
	_, err = fmt.Println("the server has ended")
	return err
}

// follow passes the items of the stream to the owner of the model.
func (v *topView) follow(ctx context.Context) error {
	return v.client.Stream(ctx, func(item control.Item) error {
		select {
		case v.items <- item:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// guard runs f, on a goroutine of its own. A panic becomes an error, so that the
// terminal is restored.
func (v *topView) guard(f func() error) {
	err := error(nil)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("top: panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			select {
			case v.failed <- err:
			default: // the first is enough
			}
		}
	}()
	err = f()
}

// errServerEnded is what run returns when the stream has ended.
var errServerEnded = errors.New("the server has ended")

// read passes keys to the owner of the model.
func (v *topView) read(ctx context.Context) error {
	err := v.terminal.Keys(func(k screen.Key) bool {
		select {
		case v.keys <- k:
			return true
		case <-ctx.Done():
			return false
		}
	})
	if errors.Is(err, io.EOF) {
		return errors.New("top: the terminal has gone")
	}
	return err
}

// run is the owner of the model and of the terminal, which it restores even in a
// panic. A server that does not answer is reported before the screen is taken over.
func (v *topView) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(resized)
	timer := time.NewTimer(repaint)
	defer timer.Stop()
	defer func() {
		if v.terminal == nil {
			return
		}
		if e := v.terminal.Close(); e != nil && err == nil && ctx.Err() == nil {
			err = fmt.Errorf("top: %w", e)
		}
	}()
	go v.guard(func() error { v.streamed <- v.follow(ctx); return nil })
	for dirty := false; ; {
		changed := true
		select {
		case item := <-v.items:
			v.model.Feed(item)
			if v.terminal == nil {
				if v.terminal, err = screen.Open(os.Stdin, os.Stdout, painterFor(os.Stdout).On); err != nil {
					return fmt.Errorf("top: %w", err)
				}
				go v.guard(func() error { return v.read(ctx) })
			}
		case k := <-v.keys:
			if quit := v.press(ctx, k); quit {
				return nil
			}
		case done := <-v.verdicts:
			v.model.Say(done.wish, done.err)
		case <-resized:
			if v.terminal != nil {
				v.terminal.Clear()
			}
		case <-timer.C:
			dirty, changed = false, false
			if v.terminal == nil {
				continue
			}
			columns, rows := v.terminal.Size()
			if err := v.terminal.Paint(v.model.Frame(columns, rows, time.Now())); err != nil {
				return fmt.Errorf("top: %w", err)
			}
		case err := <-v.streamed:
			return v.last(err)
		case err := <-v.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("top: %w", context.Cause(ctx))
		}
		if changed && !dirty {
			dirty = true
			timer.Reset(repaint)
		}
	}
}

func (v *topView) press(ctx context.Context, k screen.Key) (quit bool) {
	wish := v.model.Press(k)
	if wish.Redraw {
		v.terminal.Clear()
	}
	if wish.Command != "" {
		go v.guard(func() error { v.send(ctx, wish); return nil })
	}
	return wish.Quit
}

// last takes the items that came before the end of the stream.
func (v *topView) last(err error) error {
	for {
		select {
		case item := <-v.items:
			v.model.Feed(item)
		default:
			if err != nil {
				return fmt.Errorf("top: %w", err)
			}
			return errServerEnded
		}
	}
}

// send sends a command and waits for its outcome.
func (v *topView) send(ctx context.Context, wish top.Wish) {
	asked, cancel := ctx, context.CancelFunc(func() {})
	if v.patience > 0 {
		late := fmt.Errorf("no answer within %v; the server goes on with what it was asked", v.patience)
		asked, cancel = context.WithTimeoutCause(ctx, v.patience, late)
	}
	defer cancel()
	_, err := v.client.Command(asked, wish.Command, url.Values{"slot": {strconv.Itoa(wish.Slot)}})
	select {
	case v.verdicts <- verdict{wish, err}:
	case <-ctx.Done():
	}
}
