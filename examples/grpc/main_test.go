package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

const patience = 30 * time.Second

// start runs the program. It returns its address and a function that waits for a
// message in its log.
func start(t *testing.T) (command *exec.Cmd, address string, wait func(message string)) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "grpc")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	command = exec.Command(binary, "-listen", "tcp://127.0.0.1:0")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	lines := make(chan map[string]any, 1000)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			line := map[string]any{}
			if json.Unmarshal(in.Bytes(), &line) == nil {
				lines <- line
			}
		}
	}()
	wait = func(message string) {
		t.Helper()
		limit := time.After(patience)
		for {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatalf("the server exited before %q", message)
				}
				if a, ok := line["address"].(string); ok && line["msg"] == "listening" {
					address = a
				}
				if line["msg"] == message {
					return
				}
			case <-limit:
				t.Fatalf("no %q within %v", message, patience)
			}
		}
	}
	wait("running")
	return command, address, wait
}

// gRPC clients keep their connections. At a reload they are told to reconnect,
// and no call fails.
func TestNoCallFailsAcrossReloads(t *testing.T) {
	command, address, wait := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var calls atomic.Int64
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := healthpb.NewHealthClient(conn)
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := client.Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
				if err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
					t.Errorf("call %d: %v, %v", calls.Load(), r, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for range 5 {
		if err := command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		wait("reload done")
	}
	close(stop)
	group.Wait()
	if calls.Load() == 0 {
		t.Error("no call was made")
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil && !strings.Contains(err.Error(), "file already closed") {
		t.Errorf("the server exited with %v", err)
	}
}
