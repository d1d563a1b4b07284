// Fasthttpd is the HTTP peer on github.com/valyala/fasthttp with its prefork: the
// master only watches, GOMAXPROCS processes serve on sockets of their own
// (SO_REUSEPORT), each with one P.
//
//	fasthttpd ROOT HOST:PORT
//
// GET /healthz answers "ok"; everything else is a file below ROOT. The master prints
// "listening HOST:PORT" once it has started all children; they may need some
// milliseconds more.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/prefork"

	"prefork/bench/peers/go/child"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: fasthttpd ROOT HOST:PORT")
	}
	root, address := os.Args[1], os.Args[2]
	if prefork.IsChild() {
		child.DieWithParent()
	}
	files := (&fasthttp.FS{Root: root, AcceptByteRange: true}).NewRequestHandler()
	server := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) {
		if string(c.Path()) != "/healthz" {
			files(c)
			return
		}
		c.Response.Header.Set("Cache-Control", "no-store")
		c.SetContentType("text/plain; charset=utf-8")
		c.SetBodyString("ok\n")
	}}
	p := prefork.New(server)
	p.Reuseport = true
	p.OnMasterReady = func([]int) error {
		_, err := fmt.Printf("listening %s\n", address)
		return err
	}
	log.Fatalf("serve: %v", p.ListenAndServe(address))
}
