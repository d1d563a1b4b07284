// Command grpc runs a gRPC server in pre-forked workers. It is a separate
// module, so that other users of prefork do not download gRPC.
//
//	cd examples/grpc && go run .
//	grpcurl -plaintext 127.0.0.1:50051 grpc.health.v1.Health/Check
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"prefork"
)

func main() {
	listen := flag.String("listen", "tcp://127.0.0.1:50051", "the `address` to serve")
	flag.Parse()
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	srv := &prefork.Server{Config: prefork.Config{Listen: []string{*listen}}, Service: &service{server, make(chan struct{})}}
	err := srv.Run(context.Background())
	if err != nil {
		log.Print(err)
	}
	os.Exit(prefork.ExitCode(err))
}

// service runs a gRPC server in a worker.
type service struct {
	server  *grpc.Server
	drained chan struct{}
}

// Serve returns when no connection is left. Serve of gRPC returns as soon as it
// cannot accept, even with calls in progress.
func (s *service) Serve(l net.Listener) error {
	err := s.server.Serve(l)
	if err == nil || errors.Is(err, net.ErrClosed) {
		<-s.drained
		return nil
	}
	return err
}

// Drain tells clients to reconnect and waits for the calls in progress.
func (s *service) Drain(ctx context.Context) error {
	defer close(s.drained)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.server.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.server.Stop()
		return ctx.Err()
	}
}
