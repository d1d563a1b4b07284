package integration

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"prefork/internal/needtool"
	"prefork/internal/testdir"
)

// Browser is a headless chromium with one page. The test controls it over a
// pipe with the DevTools protocol. Only one goroutine may use it.
type Browser struct {
	tb      testing.TB
	in      io.Writer
	out     *bufio.Reader
	session string
	calls   int

	// Errors are the messages on the page's console: exceptions and violations
	// of its content security policy.
	Errors []string
}

// StartBrowser opens the page. It skips the test on a machine without chromium.
func StartBrowser(tb testing.TB, url string, width, height int) *Browser {
	tb.Helper()
	path := needtool.Need(tb, "chromium", "chromium")
	// The browser reads commands from descriptor 3 and answers on 4.
	commands, in, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer commands.Close()
	out, answers, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	defer answers.Close()
	command := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		fmt.Sprintf("--window-size=%d,%d", width, height), "--user-data-dir="+testdir.Short(tb), "--remote-debugging-pipe", "about:blank")
	command.ExtraFiles = []*os.File{commands, answers}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that Cleanup kills its child processes too
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait()
		_ = in.Close()
		_ = out.Close()
	})
	b := &Browser{tb: tb, in: in, out: bufio.NewReader(out)}
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	b.Resize(width, height)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	return b
}

// cdp is a message of the DevTools protocol.
type cdp struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// call sends a command and waits for its result.
func (b *Browser) call(method string, params, into any) {
	b.tb.Helper()
	if err := b.try(method, params, into); err != nil {
		b.tb.Fatalf("browser: %s: %v", method, err)
	}
}

func (b *Browser) try(method string, params, into any) error {
	encoded, err := json.Marshal(params)
	if err != nil {
		return err
	}
	if params == nil {
		encoded = []byte("{}")
	}
	b.calls++
	message, err := json.Marshal(cdp{ID: b.calls, SessionID: b.session, Method: method, Params: encoded})
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(message, 0)); err != nil {
		return err
	}
	for {
		answer, err := b.receive()
		switch {
		case err != nil:
			return err
		case answer.ID != b.calls:
			continue
		case answer.Error != nil:
			return errors.New(string(answer.Error))
		case into == nil:
			return nil
		}
		return json.Unmarshal(answer.Result, into)
	}
}

// receive reads one message and stores it in Errors if it is one.
func (b *Browser) receive() (cdp, error) {
	var m cdp
	data, err := b.out.ReadBytes(0)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data[:len(data)-1], &m); err != nil {
		return m, err
	}
	switch m.Method {
	case "Runtime.exceptionThrown", "Log.entryAdded":
		b.Errors = append(b.Errors, string(m.Params))
	}
	return m, nil
}

// Evaluate returns the value of a JavaScript expression as text.
func (b *Browser) Evaluate(expression string) string {
	b.tb.Helper()
	var got struct {
		Result struct{ Value any }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true}, &got)
	return fmt.Sprint(got.Result.Value)
}

// Wait waits until ok returns true for the value of an expression.
func (b *Browser) Wait(what, expression string, ok func(string) bool) {
	b.tb.Helper()
	Wait(b.tb, what+" on the page", func() (bool, string) {
		saw := b.Evaluate(expression)
		return ok(saw), saw
	})
}

// Set sets a media feature, for example prefers-color-scheme to dark.
func (b *Browser) Set(feature, value string) {
	b.tb.Helper()
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": feature, "value": value}}}, nil)
}

// Resize changes the size of the page.
func (b *Browser) Resize(width, height int) {
	b.tb.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

// Screenshot writes the page to a PNG file.
func (b *Browser) Screenshot(path string) {
	b.tb.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		b.tb.Fatalf("screenshot: %v", err)
	}
}
