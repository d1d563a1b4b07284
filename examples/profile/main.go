// Command profile serves lines in upper case, or HTTP, and writes a CPU profile of
// each worker into a directory. It shows what Hooks are for. In mode forking a
// process is too short for a profile.
//
//	go run ./examples/profile threading /tmp
//	go tool pprof -top /tmp/cpu-*.pprof
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"

	"prefork"
	"prefork/worker"
	"prefork/worker/handlers"
)

const maxLine = 64 << 10

func main() {
	err := serve(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
	}
	os.Exit(prefork.ExitCode(err))
}

func serve(args []string) error {
	flags := flag.NewFlagSet("profile", flag.ContinueOnError)
	listen := flags.String("listen", "tcp://127.0.0.1:9999", "the `address` to serve")
	if err := flags.Parse(args); err != nil {
		return err
	}
	args = flags.Args()
	if len(args) != 2 {
		return fmt.Errorf("%d arguments, want a mode (or http) and a directory", len(args))
	}
	srv := &prefork.Server{
		Config: prefork.Config{Listen: []string{*listen}, Mode: worker.Mode(args[0])},
		Hooks:  profiles(args[1]),
		Ready:  func(addrs []net.Addr) { fmt.Printf("listening %s\n", addrs[0]) },
	}
	switch args[0] {
	case "http":
		files, err := handlers.Files("", false, false)
		if err != nil {
			return err
		}
		srv.Mode, srv.Service = worker.Threading, handlers.HTTPServer(&http.Server{Handler: files})
	case string(worker.Event):
		srv.EventHandler = handlers.EventUpper(maxLine)
	default:
		srv.Handler = handlers.Upper(maxLine)
	}
	return srv.Run(context.Background())
}

// profiles makes the hooks that profile a worker from its start to its end.
func profiles(dir string) worker.Hooks {
	var file *os.File
	return worker.Hooks{
		WorkerStart: func(context.Context, worker.WorkerInfo) (err error) {
			if file, err = os.Create(filepath.Join(dir, fmt.Sprintf("cpu-%d.pprof", os.Getpid()))); err != nil {
				return err
			}
			return pprof.StartCPUProfile(file)
		},
		WorkerStop: func(context.Context) {
			pprof.StopCPUProfile()
			if err := file.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
		},
	}
}
