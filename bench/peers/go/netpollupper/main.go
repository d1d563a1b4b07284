// Netpollupper is the echo peer on github.com/cloudwego/netpoll: one process, its
// default number of pollers, and a goroutine of its pool for each request.
//
// It prints "listening HOST:PORT" once its socket listens.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/cloudwego/netpoll"

	"prefork/bench/peers/go/upper"
)

func main() {
	log.SetFlags(0)
	l, err := netpoll.CreateListener("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatalf("listen: %v", err)
	}
	loop, err := netpoll.NewEventLoop(serve)
	if err != nil {
		log.Fatalf("event loop: %v", err)
	}
	fmt.Printf("listening %s\n", l.Addr())
	log.Fatalf("serve: %v", loop.Serve(l))
}

// serve answers the complete lines that have arrived. It waits for the rest of a
// line, because netpoll calls it again at once if anything is left.
func serve(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	defer r.Release()
	line, err := r.Until('\n')
	if err != nil {
		return c.Close()
	}
	if err := answer(w, line); err != nil {
		return c.Close()
	}
	more, err := r.Peek(r.Len())
	if n := bytes.LastIndexByte(more, '\n') + 1; err == nil && n > 0 {
		if more, err = r.Next(n); err == nil {
			err = answer(w, more)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return c.Close()
	}
	return nil
}

// answer queues whole lines in upper case.
func answer(w netpoll.Writer, p []byte) error {
	out, err := w.Malloc(len(p))
	if err != nil {
		return err
	}
	copy(out, p)
	upper.Whole(out)
	return nil
}
