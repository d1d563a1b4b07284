// Command upper is the server of Python's socketserver documentation. It reads
// one line from each connection and sends it back in upper case. The client of
// the documentation works with it unchanged.
//
//	class MyTCPHandler(socketserver.StreamRequestHandler):
//	    def handle(self):
//	        self.data = self.rfile.readline(10000).rstrip()
//	        print(f"{self.client_address[0]} wrote:")
//	        print(self.data)
//	        self.wfile.write(self.data.upper())
//
// The line's end is sent back as well, so that nc and telnet show it as a line.
//
//	go run ./examples/upper
//	echo hello | nc 127.0.0.1 9999
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"prefork"
	"prefork/worker"
)

// maxLine bounds a line, as readline(10000) does in the original.
const maxLine = 10000

// myTCPHandler is created for each connection, as in socketserver.
type myTCPHandler struct {
	worker.StreamHandler
}

// Handle serves the connection. RFile and WFile are self.rfile and self.wfile.
func (h *myTCPHandler) Handle(_ context.Context, c *worker.Conn) error {
	line, err := h.RFile.ReadSlice('\n') // a line longer than the buffer is an error
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil // the client sent nothing
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	fmt.Printf("%v wrote: %q\n", c.RemoteAddr(), bytes.TrimRight(line, "\r\n"))
	_, err = h.WFile.Write(bytes.ToUpper(line))
	return err // Finish flushes WFile
}

func newHandler() worker.Handler {
	return &myTCPHandler{worker.StreamHandler{RBufSize: maxLine}}
}

// newServer is also called by main_test.go.
func newServer(listen string) *prefork.Server {
	return &prefork.Server{Config: prefork.Config{Listen: []string{listen}}, NewHandler: newHandler}
}

func main() {
	listen := flag.String("listen", "tcp://127.0.0.1:9999", "the `address` to serve")
	flag.Parse() // runs in the master and in every worker
	err := newServer(*listen).Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}
