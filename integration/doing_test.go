package integration

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestStatusShowsWhatAWorkerIsDoing(t *testing.T) {
	t.Parallel()
	s := Start(t, web(1))
	s.WaitWorkers(1)
	_, address := s.Address("")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/sleep?d=1h", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if response, err := newClient(t, false).Do(request); err == nil { // until ctx is cancelled
			_ = response.Body.Close()
		}
	}()
	status := s.WaitStatus("what the worker is doing", func(s *Status) bool {
		return len(s.Workers) == 1 && strings.Contains(s.Workers[0].Doing, "/sleep")
	})
	if w := status.Workers[0]; !strings.HasPrefix(w.Doing, "127.0.0.1:") || !strings.HasSuffix(w.Doing, " GET /sleep") || w.DoingS <= 0 {
		t.Errorf("the worker is doing %q for %v s", w.Doing, w.DoingS)
	}
	cancel()
	s.WaitStatus("an idle worker", func(s *Status) bool { return s.Workers[0].Doing == "" })
}
