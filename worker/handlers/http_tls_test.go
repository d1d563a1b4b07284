package handlers

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// tlsService returns a service with TLS and a client that trusts it.
func tlsService(t *testing.T, lameDuck time.Duration, protocols ...string) (*running, *http.Client) {
	t.Helper()
	donor := httptest.NewUnstartedServer(nil)
	donor.EnableHTTP2 = true
	donor.StartTLS()
	defer donor.Close()
	srv := newTestServer(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	srv.TLSConfig = &tls.Config{Certificates: donor.TLS.Certificates, NextProtos: protocols}
	s := HTTPServer(srv)
	s.LameDuck = lameDuck
	r := run(t, s)
	transport := donor.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return r, &http.Client{Transport: transport, Timeout: testPatience}
}

func fetch(t *testing.T, client *http.Client, r *running) (proto string, closes bool) {
	t.Helper()
	resp, err := client.Get("https://" + r.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), resp.Close
}

func TestTLSConnectionsDrainLikeOthers(t *testing.T) {
	r, client := tlsService(t, forever, "http/1.1")
	if proto, closes := fetch(t, client, r); proto != "HTTP/1.1" || closes {
		t.Errorf("before: %s, closes %v", proto, closes)
	}
	r.worker.Drain()
	<-r.service.draining
	if proto, closes := fetch(t, client, r); proto != "HTTP/1.1" || !closes {
		t.Errorf("during the drain: %s, closes %v, want the last answer", proto, closes)
	}
	r.drain()
}

func TestHTTP2ConnectionsGetAGoAwayWithTheirNextAnswer(t *testing.T) {
	r, client := tlsService(t, forever, "h2", "http/1.1")
	if proto, _ := fetch(t, client, r); proto != "HTTP/2.0" {
		t.Fatalf("before: %s", proto)
	}
	r.worker.Drain()
	<-r.service.draining
	if proto, _ := fetch(t, client, r); proto != "HTTP/2.0" {
		t.Errorf("during the drain: %s", proto)
	}
	r.drain() // LameDuck is an hour, so GOAWAY ended the connection
}

func TestAnIdleHTTP2ConnectionIsClosedAfterTheLameDuck(t *testing.T) {
	r, client := tlsService(t, 10*time.Millisecond, "h2")
	if proto, _ := fetch(t, client, r); !strings.HasPrefix(proto, "HTTP/2") {
		t.Fatalf("before: %s", proto)
	}
	r.drain()
}
