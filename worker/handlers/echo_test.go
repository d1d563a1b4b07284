package handlers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"prefork/worker"
)

// testPatience is the limit of every wait.
const testPatience = 20 * time.Second

func TestEchoSendsEveryByteBack(t *testing.T) {
	client, done := inWorker(t, worker.Options{Handler: worker.HandlerFunc(Echo)})
	sent := make([]byte, 1<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(sent)
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), int(rnd.Uint64()%100_000)+1)
			if _, err := client.Write(rest[:n]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			rest = rest[n:]
		}
		_ = client.CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("got %d bytes back of %d (equal: %v), %v", len(got), len(sent), bytes.Equal(got, sent), err)
	}
	if err := <-done; err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
}

func TestEchoFailsIfTheClientResets(t *testing.T) {
	failed := make(chan error, 1)
	client, done := inWorker(t, worker.Options{
		Handler: worker.HandlerFunc(Echo),
		Hooks:   worker.Hooks{HandleError: func(_ context.Context, _ *worker.Conn, err error) { failed <- err }},
	})
	if _, err := client.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	_ = client.SetLinger(0)
	_ = client.Close()
	if err := <-done; err != nil {
		t.Errorf("HandleRequest: %v", err)
	}
	if err := <-failed; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("echo: %v, want the reset", err)
	}
}

func TestDiscardReadsAllAndAnswersNothing(t *testing.T) {
	var conn *worker.Conn
	client, done := inWorker(t, worker.Options{
		Handler: worker.HandlerFunc(Discard),
		Hooks:   worker.Hooks{ConnContext: func(ctx context.Context, c *worker.Conn) context.Context { conn = c; return ctx }},
	})
	if _, err := client.Write(make([]byte, 200_000)); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); len(got) != 0 || err != nil {
		t.Errorf("answered %d bytes, %v", len(got), err)
	}
	if err := <-done; err != nil || conn.BytesIn() != 200_000 || conn.BytesOut() != 0 {
		t.Errorf("%v; read %d bytes and wrote %d, want 200000 and 0", err, conn.BytesIn(), conn.BytesOut())
	}
}
