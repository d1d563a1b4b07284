package main

import (
	"errors"
	"fmt"
	"strings"
)

// errQuit ends a connection after QUIT.
var errQuit = errors.New("quit")

// command is one of the server's commands. args[0] is its name.
type command struct {
	name     string
	min, max int // number of arguments including the name; max 0 is no limit
	run      func(args [][]byte, w *replies, s *store) error
}

var commands = byName(
	command{"ping", 1, 2, ping},
	command{"echo", 2, 2, echo},
	command{"set", 3, 3, set},
	command{"get", 2, 2, get},
	command{"del", 2, 0, del},
	command{"incr", 2, 2, incr},
	command{"config", 2, 0, config},
	command{"command", 1, 0, noCommands},
	command{"quit", 1, 0, quit},
)

func byName(list ...command) map[string]command {
	m := make(map[string]command, len(list))
	for _, c := range list {
		m[c.name] = c
	}
	return m
}

// find returns the command with that name. Upper and lower case are the same.
func find(name []byte) (command, bool) {
	var short [16]byte // no command has a longer name
	if len(name) > len(short) {
		return command{}, false
	}
	c, ok := commands[string(lower(short[:0], name))]
	return c, ok
}

// lower appends name to dst in lower case.
func lower(dst, name []byte) []byte {
	for _, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return dst
}

// execute answers one command.
func execute(args [][]byte, w *replies, s *store) error {
	c, ok := find(args[0])
	if !ok {
		w.failure(fmt.Sprintf("ERR unknown command '%s'", printable(args[0])))
		return nil
	}
	if len(args) < c.min || c.max > 0 && len(args) > c.max {
		w.failure(fmt.Sprintf("ERR wrong number of arguments for '%s' command", c.name))
		return nil
	}
	return c.run(args, w, s)
}

// printable replaces control characters in a name and shortens it, for an error
// message.
func printable(name []byte) string {
	const most = 128
	if len(name) > most {
		name = name[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, string(name))
}

func ping(args [][]byte, w *replies, _ *store) error {
	if len(args) == 2 {
		w.bulk(args[1])
	} else {
		w.simple("PONG")
	}
	return nil
}

func echo(args [][]byte, w *replies, _ *store) error {
	w.bulk(args[1])
	return nil
}

func set(args [][]byte, w *replies, s *store) error {
	if err := s.set(args[1], args[2]); err != nil {
		w.failure(err.Error())
	} else {
		w.simple("OK")
	}
	return nil
}

func get(args [][]byte, w *replies, s *store) error {
	if value := s.get(args[1]); value != nil {
		w.bulk(value)
	} else {
		w.null()
	}
	return nil
}

func del(args [][]byte, w *replies, s *store) error {
	var n int64
	for _, key := range args[1:] {
		if s.del(key) {
			n++
		}
	}
	w.integer(n)
	return nil
}

func incr(args [][]byte, w *replies, s *store) error {
	if n, err := s.incr(args[1]); err != nil {
		w.failure(err.Error())
	} else {
		w.integer(n)
	}
	return nil
}

// config answers the two requests that redis-benchmark sends first, which ask
// about persistence.
func config(args [][]byte, w *replies, _ *store) error {
	if string(lower(nil, args[1])) != "get" || len(args) != 3 {
		w.failure("ERR only CONFIG GET with one name is supported")
		return nil
	}
	switch name := string(lower(nil, args[2])); name {
	case "save":
		w.array(2)
		w.bulk([]byte(name))
		w.bulk(nil)
	case "appendonly":
		w.array(2)
		w.bulk([]byte(name))
		w.bulk([]byte("no"))
	default:
		w.array(0)
	}
	return nil
}

// noCommands answers COMMAND, which redis-cli uses for completion, with an empty
// list.
func noCommands(_ [][]byte, w *replies, _ *store) error {
	w.array(0)
	return nil
}

func quit(_ [][]byte, w *replies, _ *store) error {
	w.simple("OK")
	return errQuit
}
