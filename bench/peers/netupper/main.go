// Netupper is the peer that a Go programmer would write without prefork: one
// process, package net, a goroutine per connection, and the same handler,
// which answers each line in upper case (a to z). Its buffers come from a pool
// and complete lines that arrive together are answered in one write, as
// prefork's are, so that the comparison is of the servers and not of two
// handlers.
//
// It prints "listening 127.0.0.1:PORT" once it accepts.
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"sync"
)

// maxLine bounds a line, its line feed included, in bytes. A longer one ends
// its connection.
const maxLine = 4 << 10

var buffers = sync.Pool{New: func() any { return new([maxLine]byte) }}

func main() {
	log.SetFlags(0)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatalf("listen: %v", err)
	}
	fmt.Printf("listening %s\n", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatalf("accept: %v", err)
		}
		go serve(c)
	}
}

// serve answers until the client closes or breaks the limit.
func serve(c net.Conn) {
	defer c.Close()
	buf := buffers.Get().(*[maxLine]byte)
	defer buffers.Put(buf)
	kept := 0 // bytes of a line that is not complete
	for kept < len(buf) {
		n, err := c.Read(buf[kept:])
		end := kept + n
		if i := bytes.LastIndexByte(buf[kept:end], '\n'); i >= 0 {
			whole := kept + i + 1
			upper(buf[:whole])
			if _, err := c.Write(buf[:whole]); err != nil {
				return
			}
			kept = copy(buf[:], buf[whole:end])
		} else {
			kept = end
		}
		if err != nil {
			upper(buf[:kept])
			_, _ = c.Write(buf[:kept]) // a last line without line feed; nobody to tell
			return
		}
	}
}

func upper(p []byte) {
	for i, b := range p {
		if 'a' <= b && b <= 'z' {
			p[i] = b - ('a' - 'A')
		}
	}
}
