// Fiberd is the HTTP peer on github.com/gofiber/fiber with its prefork: the master
// only watches, GOMAXPROCS processes serve on sockets of their own (SO_REUSEPORT),
// each with one P.
//
//	fiberd ROOT HOST:PORT
//
// GET /healthz answers "ok"; everything else is a file below ROOT. The master prints
// "listening HOST:PORT" once it has started all children; they may need some
// milliseconds more.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/static"

	"prefork/bench/peers/go/child"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: fiberd ROOT HOST:PORT")
	}
	root, address := os.Args[1], os.Args[2]
	if fiber.IsChild() {
		child.DieWithParent()
	}
	app := fiber.New()
	app.Get("/healthz", func(c fiber.Ctx) error {
		c.Set("Cache-Control", "no-store")
		c.Set("Content-Type", "text/plain; charset=utf-8")
		return c.SendString("ok\n")
	})
	app.Get("/*", static.New(root))
	app.Hooks().OnListen(func(fiber.ListenData) error {
		if fiber.IsChild() {
			return nil
		}
		_, err := fmt.Printf("listening %s\n", address)
		return err
	})
	log.Fatalf("serve: %v", app.Listen(address, fiber.ListenConfig{EnablePrefork: true, DisableStartupMessage: true}))
}
