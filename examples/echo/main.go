// Command echo is the smallest pre-fork server: it sends every byte back that
// it receives on tcp://127.0.0.1:9999, from one worker a CPU.
//
//	go run ./examples/echo
//	echo hello | nc -N 127.0.0.1 9999
package main

import (
	"context"
	"io"
	"log"
	"os"

	"prefork"
	"prefork/worker"
)

func main() {
	srv := &prefork.Server{
		Config: prefork.Config{Listen: []string{"tcp://127.0.0.1:9999"}},
		Handler: worker.HandlerFunc(func(ctx context.Context, c *worker.Conn) error {
			_, err := io.Copy(c, c)
			return err
		}),
	}
	err := srv.Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}
