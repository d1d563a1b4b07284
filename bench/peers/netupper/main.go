// Netupper is the peer that a Go programmer would write without prefork: package
// net, a goroutine per connection, and the same handler, which answers each line in
// upper case (a to z), in one process or in several (package listen). Its buffers
// come from a pool and complete lines that arrive together are answered in one
// write, as prefork's are, so that the comparison is of the servers and not of two
// handlers.
//
//	netupper [PROCESSES]
//
// It prints "listening 127.0.0.1:PORT" once it accepts.
package main

import (
	"bytes"
	"log"
	"net"
	"os"
	"strconv"
	"sync"

	"prefork/bench/peers/internal/listen"
)

// Bytes of a buffer from the pool, and of the longest line, its line feed included.
// A longer line ends its connection.
const (
	smallBuffer = 4 << 10
	maxLine     = 64 << 10
)

var buffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}

func main() {
	log.SetFlags(0)
	processes := 1
	if len(os.Args) > 1 {
		var err error
		if processes, err = strconv.Atoi(os.Args[1]); err != nil {
			log.Fatalf("usage: netupper [PROCESSES]: %v", err)
		}
	}
	l, err := listen.Processes(processes)
	if err != nil {
		log.Fatalf("listen: %v", err)
	}
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
	small := buffers.Get().(*[smallBuffer]byte)
	defer buffers.Put(small)
	buf := small[:]
	kept := 0 // bytes of a line that is not complete
	for {
		n, err := c.Read(buf[kept:])
		end := kept + n
		if i := bytes.LastIndexByte(buf[kept:end], '\n'); i >= 0 {
			whole := kept + i + 1
			upper(buf[:whole])
			if _, err := c.Write(buf[:whole]); err != nil {
				return
			}
			kept = copy(buf, buf[whole:end])
		} else {
			kept = end
		}
		if err != nil {
			upper(buf[:kept])
			_, _ = c.Write(buf[:kept]) // a last line without line feed; nobody to tell
			return
		}
		if kept == len(buf) {
			if kept >= maxLine {
				return
			}
			buf = append(buf, make([]byte, len(buf))...)
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
