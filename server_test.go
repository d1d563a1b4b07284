package prefork_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"prefork"
	"prefork/internal/testdir"
)

// waitRun fails the test unless Run returns nil.
func waitRun(t *testing.T, name string, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%s: Run: %v", name, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s: Run has not returned after %v", name, patience)
	}
}

// endings are the methods that end a Server.
func endings(t *testing.T) map[string]func(*prefork.Server) error {
	return map[string]func(*prefork.Server) error{
		"Close":    (*prefork.Server).Close,
		"Shutdown": func(srv *prefork.Server) error { return srv.Shutdown(t.Context()) },
	}
}

func TestCloseAndShutdownBeforeRunAreRemembered(t *testing.T) {
	for name, end := range endings(t) {
		path := filepath.Join(testdir.Short(t), "s")
		srv := &prefork.Server{Config: prefork.Config{Listen: []string{"unix://" + path}}, Handler: greet, Logger: zap.NewNop()}
		srv.Ready = func([]net.Addr) { t.Errorf("%s: Ready was called", name) }
		if err := end(srv); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- srv.Run(t.Context()) }()
		waitRun(t, name, ended)
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: Run has bound its socket: %v", name, err)
		}
		if srv.Addrs() != nil {
			t.Errorf("%s: Addrs is %v, want none", name, srv.Addrs())
		}
	}
}

// The start waits for a name server that does not answer.
func TestCloseAndShutdownEndTheStart(t *testing.T) {
	resolver := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = resolver })
	for name, end := range endings(t) {
		asked := make(chan struct{}, 16)
		net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		srv := &prefork.Server{Config: prefork.Config{Listen: []string{"tcp://prefork.example:0"}}, Handler: greet, Logger: zap.NewNop()}
		ended := make(chan error, 1)
		go func() { ended <- srv.Run(t.Context()) }()
		select {
		case <-asked:
		case err := <-ended:
			t.Fatalf("%s: Run: %v", name, err)
		}
		if err := end(srv); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		waitRun(t, name, ended)
	}
}

func TestShutdownBeforeRunReturnsAtOnce(t *testing.T) {
	srv := &prefork.Server{Handler: greet}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown before Run: %v", err)
	}
}
