// Command upper is the server of Python's socketserver documentation, whose
// client works with it unchanged: it reads one line from each connection and
// sends it back in upper case.
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

// maxLine is what readline(10000) is in the original: no line takes more
// memory.
const maxLine = 10000

// myTCPHandler is made anew for each connection, as socketserver does it.
type myTCPHandler struct {
	worker.StreamHandler
}

// Handle serves the connection. RFile and WFile are self.rfile and self.wfile.
func (h *myTCPHandler) Handle(_ context.Context, c *worker.Conn) error {
	line, err := h.RFile.ReadSlice('\n') // a line longer than the buffer is an error
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil // the client had nothing to say
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	fmt.Printf("%v wrote: %q\n", c.RemoteAddr(), bytes.TrimRight(line, "\r\n"))
	_, err = h.WFile.Write(bytes.ToUpper(line))
	return err // Finish sends it
}

func newHandler() worker.Handler {
	return &myTCPHandler{worker.StreamHandler{RBufSize: maxLine}}
}

// newServer is apart from main so that main_test.go can run it.
func newServer(listen string) *prefork.Server {
	return &prefork.Server{Config: prefork.Config{Listen: []string{listen}}, NewHandler: newHandler}
}

func main() {
	listen := flag.String("listen", "tcp://127.0.0.1:9999", "the `address` to serve")
	flag.Parse() // here in the master, and again in every worker
	err := newServer(*listen).Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}
