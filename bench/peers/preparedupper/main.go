// Preparedupper is a program of prefork's library whose main prepares for 50 ms before it
// serves, as one does that parses templates or fills tables. It is in mode forking, so
// an executed worker would prepare for each connection; a forked one has what the
// zygote has prepared.
//
// It prints "listening 127.0.0.1:PORT" once it accepts.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"prefork"
	"prefork/worker"
	"prefork/worker/handlers"
)

// preparation is how long main computes.
const preparation = 50 * time.Millisecond

func main() {
	log.SetFlags(0)
	began := time.Now()
	table := make([]byte, 1<<20)
	for i := 0; time.Since(began) < preparation; i++ {
		table[i%len(table)]++
	}
	s := &prefork.Server{
		Handler: handlers.Upper(64 << 10),
		Config:  prefork.Config{Listen: []string{"127.0.0.1:0"}, Mode: worker.Forking, Spawn: "fork", LogLevel: "error"},
		Ready:   func(addrs []net.Addr) { fmt.Println("listening", addrs[0]) },
	}
	if err := s.Run(context.Background()); err != nil {
		log.Print(err)
		os.Exit(prefork.ExitCode(err))
	}
}
