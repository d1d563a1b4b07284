package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"prefork/internal/golden"
	"prefork/internal/testdir"
)

// sessionScript prints each command as if it had been typed, and runs it. It
// waits for a line between the first two commands.
const sessionScript = `
stty -echo
run() { printf '\033[1m$ %s\033[0m\n' "$*"; eval "$*"; }
run "prefork serve --listen tcp://$ADDRESS --control prefork.sock --workers 2 >serve.log 2>&1 &"
read -r _
run "prefork load tcp://$ADDRESS -c 32 -d 4s --per-connection 100 --expect upper --control prefork.sock"
run "prefork status --control prefork.sock"
run "prefork drain --control prefork.sock"
wait
`

// recording is a recorded session in the asciicast format, version 2.
type recording struct {
	lines []string
	began time.Time
	rest  []byte // an incomplete rune
}

// take records output.
func (r *recording) take(b []byte) {
	b = append(r.rest, b...)
	whole := len(b)
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if last := b[len(b)-back:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				whole -= back
			}
			break
		}
	}
	r.rest = append([]byte(nil), b[whole:]...)
	event, err := json.Marshal([]any{float64(time.Since(r.began).Milliseconds()) / 1000, "o", string(b[:whole])})
	if err == nil && whole > 0 {
		r.lines = append(r.lines, string(event))
	}
}

// The report of a load shows a reload from another terminal, and no error.
// -update records the session for the documents.
func TestASessionOfServeLoadAndReload(t *testing.T) {
	const columns, rows = 120, 100 // the screen does not scroll, and a slow machine's report is long
	dir, address := testdir.Short(t), freePort(t)
	bin := filepath.Dir(Program(t, "prefork/cmd/prefork"))
	p := OpenPty(t, columns, rows)
	r := &recording{began: time.Now()}
	header, err := json.Marshal(map[string]any{"version": 2, "width": columns, "height": rows, "title": "prefork: serve, load and reload"})
	if err != nil {
		t.Fatal(err)
	}
	r.lines = append(r.lines, string(header))
	p.mu.Lock()
	p.tap = r.take
	p.mu.Unlock()
	shell := exec.Command("sh", "-c", sessionScript)
	shell.Dir = dir
	shell.Env = append(os.Environ(), "ADDRESS="+address, "PATH="+bin+":"+os.Getenv("PATH"), "TERM=xterm-256color")
	p.Start(shell)
	control := NewControl(filepath.Join(dir, "prefork.sock"))
	t.Cleanup(func() {
		_, _ = control.Command("stop") // the server has ended already, unless the test failed
		_ = shell.Wait()
	})
	Wait(t, "the server", func() (bool, string) {
		s, err := control.Status()
		return err == nil && s.State == "running", fmt.Sprint(s, err)
	})
	p.Type("\n")
	Wait(t, "the load", func() (bool, string) {
		s, err := control.Status()
		return err == nil && s.Totals.Handled > 0, fmt.Sprint(s, err)
	})
	if a, err := control.Command("reload"); err != nil || !a.OK {
		t.Fatalf("reload: %+v, %v", a, err)
	}
	text := strings.Join(p.WaitText("drained: the server has ended"), "\n")
	for _, want := range []string{"errors     none", "reload: generation 2", "LATENCY  CORRECTED  UNCORRECTED", "connected"} {
		if !strings.Contains(text, want) {
			t.Errorf("the session does not show %q:\n%s", want, text)
		}
	}
	if !golden.Updating() {
		return
	}
	p.mu.Lock()
	cast := strings.Join(r.lines, "\n") + "\n"
	p.mu.Unlock()
	cells := p.Cells()
	for len(cells) > 0 && len(cells[len(cells)-1]) == 0 {
		cells = cells[:len(cells)-1]
	}
	for name, content := range map[string]string{
		"session.svg":  Picture("prefork: serve, load, and a reload from another terminal", cells),
		"session.cast": cast,
	} {
		golden.Write(t, filepath.Join("..", "docs", "img", name), content)
	}
}
