package integration

import (
	"io"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"prefork/integration/testconf"
)

// site returns the basic configuration of the handler http.
func site(workers int) testconf.Config {
	c := line(workers)
	c.Program.Kind = "site"
	return c
}

// get returns the HTTP status of one request.
func get(tb testing.TB, client *http.Client, url string) int {
	tb.Helper()
	response, err := client.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		tb.Fatal(err)
	}
	return response.StatusCode
}

// newClient returns a client. It reuses its connections if keep is true.
func newClient(tb testing.TB, keep bool) *http.Client {
	transport := &http.Transport{DisableKeepAlives: !keep}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: Patience, Transport: transport}
}

// A load balancer that checks the serving address learns of the lame-duck state
// from every worker. Other requests are served as before.
func TestLameDuckFailsTheHealthCheckAndKeepsServing(t *testing.T) {
	c := site(2)
	c.LameDuck = time.Hour
	s := Start(t, c)
	before := s.WaitWorkers(2)
	_, address := s.Address("")
	url := "http://" + address
	kept := newClient(t, true)
	if code := get(t, kept, url+"/healthz"); code != http.StatusOK {
		t.Fatalf("HTTP %d before the drain", code)
	}
	s.Signal(syscall.SIGTERM)
	s.WaitState("draining")
	Wait(t, "the failed health check on an old connection", func() (bool, string) {
		code := get(t, kept, url+"/healthz")
		return code == http.StatusServiceUnavailable, http.StatusText(code)
	})
	check := func() {
		t.Helper()
		for range 20 {
			fresh := newClient(t, false)
			if code := get(t, fresh, url+"/healthz"); code != http.StatusServiceUnavailable {
				t.Errorf("HTTP %d from /healthz of a lame duck", code)
			}
			if code := get(t, fresh, url+"/"); code != http.StatusOK {
				t.Errorf("HTTP %d for an ordinary request", code)
			}
		}
		if code := get(t, kept, url+"/"); code != http.StatusOK {
			t.Errorf("HTTP %d on the old connection", code)
		}
	}
	Wait(t, "the failed health check from both workers", func() (bool, string) {
		for range 20 {
			if code := get(t, newClient(t, false), url+"/healthz"); code != http.StatusServiceUnavailable {
				return false, http.StatusText(code)
			}
		}
		return true, ""
	})
	check()
	for _, w := range before.Workers { // new workers fail the check too
		kill(t, w.PID, syscall.SIGKILL)
		s.WaitStatus("a replacement", func(status *Status) bool {
			return status.Worker(w.PID) == nil && len(status.Serving()) == 2
		})
	}
	kept.CloseIdleConnections()
	check()
}

func TestHealthCheckSucceedsDuringReloads(t *testing.T) {
	s := Start(t, site(2))
	_, address := s.Address("")
	url := "http://" + address + "/healthz"
	client := newClient(t, true)
	if code := get(t, client, url); code != http.StatusOK {
		t.Fatalf("HTTP %d", code)
	}
	over := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for n := 0; ; n++ {
			response, err := client.Get(url)
			if err != nil {
				t.Errorf("request %d: %v", n, err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("request %d: %s", n, response.Status)
			}
			select {
			case <-over:
				return
			default:
			}
		}
	})
	for range times(5) {
		s.Do("reload")
	}
	close(over)
	asking.Wait()
	client.CloseIdleConnections()
	s.WaitWorkers(2)
}
