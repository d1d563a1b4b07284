package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// MetricsAddress waits until the log has the address of the metrics and returns
// it.
func (s *Server) MetricsAddress() string {
	s.tb.Helper()
	s.Log.WaitText(s.tb, "metrics served")
	for _, line := range s.Log.Lines() {
		if address, ok := line["address"].(string); ok && line["msg"] == "metrics served" {
			return address
		}
	}
	s.tb.Fatalf("no address in the log:\n%s", s.Log.Text())
	return ""
}

// Fetch returns the body of a GET request.
func Fetch(url string, header http.Header) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if header != nil {
		request.Header = header
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: HTTP %d, %s", url, response.StatusCode, body)
	}
	return string(body), err
}

// StartTraffic runs clients of a server with the handler upper, until the test
// ends or the returned function is called. Each client sends a few lines, closes
// its connection and opens the next. Errors are ignored, because tests kill the
// workers.
func StartTraffic(tb testing.TB, address string, clients int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for ctx.Err() == nil {
				sendTraffic(ctx, address)
			}
		})
	}
	stop = func() { cancel(); group.Wait() }
	tb.Cleanup(stop)
	return stop
}

func sendTraffic(ctx context.Context, address string) {
	pause := time.NewTicker(5 * time.Millisecond) // the machine is small
	defer pause.Stop()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		<-pause.C
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(Patience))
	in := bufio.NewReader(conn)
	for range 20 {
		if _, err := io.WriteString(conn, strings.Repeat("hello ", 8)+"\n"); err != nil {
			return
		}
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}
