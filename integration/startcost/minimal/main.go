// Command minimal is the smallest program that uses the library. Its argument is the
// mode.
package main

import (
	"context"
	"io"
	"os"

	"prefork"
	"prefork/worker"
)

func main() {
	s := &prefork.Server{
		Config: prefork.Config{
			Listen:  []string{"tcp://127.0.0.1:0"},
			Mode:    worker.Mode(os.Args[1]),
			Workers: 1, LogLevel: "debug",
		},
		Handler: worker.HandlerFunc(func(_ context.Context, c *worker.Conn) error {
			_, err := io.Copy(c, c)
			return err
		}),
		LogFormat: "json",
	}
	os.Exit(prefork.ExitCode(s.Run(context.Background())))
}
