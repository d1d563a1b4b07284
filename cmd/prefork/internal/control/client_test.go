package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"prefork/internal/needtool"
)

func TestACommandReturnsTheOutcome(t *testing.T) {
	path := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/scale" || r.FormValue("n") != "+1" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(`{"ok":true,"generation":3,"target":"5"}`))
	})
	c := NewClient(path)
	defer c.Close()
	a, err := c.Command(within(t), "scale", url.Values{"n": {"+1"}})
	if err != nil || !a.OK || a.Generation != 3 || a.Target != "5" {
		t.Errorf("answer %+v, %v", a, err)
	}
}

func TestARefusalIsTheServersReason(t *testing.T) {
	for _, c := range []struct {
		code       int
		body, want string
	}{
		{409, `{"ok":false,"error":"port in use"}`, "port in use"},
		{403, `{"ok":false,"error":"only root"}`, "only root"},
		{404, "404 page not found\n", "the server does not know this command; it may be another version of prefork"},
		{500, "oops\xff", `the server answered 500 Internal Server Error: "oops"`},
		{200, `{"ok":false}`, `the server answered 200 OK: "{\"ok\":false}"`},
		{200, `<html>`, "read answer: invalid character '<' looking for beginning of value"},
	} {
		path := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.code)
			_, _ = w.Write([]byte(c.body))
		})
		client := NewClient(path)
		_, err := client.Command(within(t), "reload", nil)
		client.Close()
		if err == nil || err.Error() != c.want {
			t.Errorf("%d %q: error %v, want %s", c.code, c.body, err, c.want)
		}
	}
}

func TestAMissingServerIsExplained(t *testing.T) {
	path := fake(t, func(http.ResponseWriter, *http.Request) {})
	stale(t, path+"2")
	for file, want := range map[string]string{
		path + "1": "there is no such socket",
		path + "2": "nothing listens there any more",
	} {
		client := NewClient(file)
		_, _, err := client.Status(within(t))
		client.Close()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

func TestALostAnswerIsNotAnOutcome(t *testing.T) {
	path := fake(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	c := NewClient(path)
	defer c.Close()
	for _, name := range []string{"drain", "stop"} {
		if err := c.End(within(t), name); !errors.Is(err, errLost) {
			t.Errorf("%s: error %v, want that it was lost", name, err)
		}
	}
}

func TestTheEndOfWaitingReturnsItsCause(t *testing.T) {
	asked := make(chan struct{})
	path := fake(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	c := NewClient(path)
	defer c.Close()
	ctx, cancel := context.WithCancelCause(within(t))
	cause := errors.New("enough")
	go func() {
		<-asked
		cancel(cause)
	}()
	if _, err := c.Command(ctx, "reload", nil); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestAProcessIsWaitedForUntilItIsGone(t *testing.T) {
	cmd := exec.Command("/bin/cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		needtool.Skip(t, "cannot start a process to wait for: %v", err)
	}
	p := openProcess(cmd.Process.Pid)
	if p == nil {
		t.Fatal("no pidfd of a running process")
	}
	defer p.Close()
	ctx, cancel := context.WithCancelCause(within(t))
	cause := errors.New("enough")
	cancel(cause)
	if err := wait(ctx, p); !errors.Is(err, cause) {
		t.Errorf("wait = %v, want the cause: the process still runs", err)
	}
	p2 := openProcess(cmd.Process.Pid)
	defer p2.Close()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := wait(within(t), p2); err != nil {
		t.Errorf("wait = %v, want nil: the process has ended", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if p := openProcess(cmd.Process.Pid); p != nil {
		t.Error("a pidfd for a process that is reaped")
	}
}

func TestAClientLeavesNoDescriptorBehind(t *testing.T) {
	path := fake(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"pid":1}`)) })
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			needtool.Skip(t, "no /proc: %v", err)
		}
		return len(entries)
	}
	ask := func() {
		c := NewClient(path)
		if _, _, err := c.Status(within(t)); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	ask()
	// The server closes a connection when its goroutine sees the end, so a few may
	// be left. A leak would leave one for each round.
	before := count()
	for range 50 {
		ask()
	}
	if after := count(); after > before+10 {
		t.Errorf("%d descriptors after 50 rounds, %d before", after, before)
	}
}

func TestPlainAnswersAreNotCopied(t *testing.T) {
	plain := []byte("{\n \"state\": \"running\"}\n")
	if got := escaped(plain); &got[0] != &plain[0] {
		t.Error("an answer without anything to escape is copied")
	}
	if got := string(escaped([]byte("\"\x1b\u202e\x7f\u00e9\""))); got != `"\u001b\u202e\u007f`+"\u00e9\"" {
		t.Errorf("escaped to %q", got)
	}
}
