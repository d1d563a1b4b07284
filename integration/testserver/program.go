package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"prefork/integration/testconf"
	"prefork/worker"
	"prefork/worker/handlers"
)

// configure runs in each worker before it is ready. It misbehaves as the
// settings say, or sets the program.
func configure(settings json.RawMessage, o *worker.Options) error {
	var p testconf.Program
	if err := json.Unmarshal(settings, &p); err != nil {
		return fmt.Errorf("decode settings: %w", err)
	}
	for _, text := range p.Attacks {
		command, argument, _ := strings.Cut(text, " ")
		if _, err := hostile[command](context.Background(), argument); err != nil {
			return err
		}
	}
	if err := boot(p); err != nil {
		return err
	}
	if p.CrashAfter > 0 {
		time.AfterFunc(p.CrashAfter, func() { os.Exit(3) })
	}
	o.Hooks.ServiceActions = hangLoop
	switch p.Kind {
	case "", "line":
		o.Handler = &lines{tag: p.Tag}
		o.EventHandler = newEventLines(p.Tag)
	case "http":
		server := &http.Server{Handler: httpHandler(p.Tag), ReadHeaderTimeout: 10 * time.Second}
		service := handlers.HTTPServer(server)
		service.LameDuck = p.HTTPLameDuck
		o.Service = service
	case "site":
		files, err := handlers.Files("", false, false)
		if err != nil {
			return err
		}
		service := handlers.HTTPServer(&http.Server{Handler: files, ReadHeaderTimeout: 10 * time.Second})
		service.LameDuck = time.Hour
		o.Service = service
	default:
		return fmt.Errorf("unknown program %q", p.Kind)
	}
	return nil
}

func boot(p testconf.Program) error {
	switch p.Boot {
	case testconf.Normal:
		return nil
	case testconf.Exits:
		os.Exit(1)
	case testconf.Exits78:
		os.Exit(78)
	case testconf.Refuses:
		return errors.New("the settings make no sense")
	case testconf.Panics:
		panic("boot panic on command")
	case testconf.Never:
		fmt.Fprintln(os.Stderr, "never ready, on command")
		time.Sleep(time.Hour)
	case testconf.Slow:
		time.Sleep(p.BootDelay)
		return nil
	}
	return fmt.Errorf("unknown way to start %q", p.Boot)
}

// hangLoop is a ServiceActions hook that blocks the worker's loop for ever after
// the command "hangloop".
func hangLoop() {
	if loopHangs.Load() {
		select {}
	}
}

// httpHandler answers /upper?text=T with T in upper case, repeated so that an
// incomplete answer is noticed, and /sleep?d=D after the duration.
func httpHandler(tag string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/upper", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, strings.Repeat(strings.ToUpper(r.FormValue("text")), 100))
	})
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/tag", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, tag) })
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.FormValue("d"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(d):
			_, _ = fmt.Fprint(w, "slept")
		case <-r.Context().Done():
		}
	})
	return mux
}
