package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const observed = `listen = ["tcp://127.0.0.1:0"]
workers = 3
probation = "50ms"
metrics = "127.0.0.1:0"
status_page = true
`

// A browser shows the page of a server under load. The page is updated during a
// reload and a worker's death. PREFORK_SCREENSHOT=DIR saves screenshots.
func TestStatusPageShowsALoadedServerLive(t *testing.T) {
	t.Parallel()
	c := serve(t, observed)
	_, address := c.Address("")
	StartTraffic(t, address, 8)
	b := StartBrowser(t, "http://"+c.MetricsAddress()+"/", 1240, 1180)
	see := func(what, expression string, ok func(string) bool) {
		t.Helper()
		b.Wait(what, expression, ok)
	}
	positive := func(saw string) bool {
		n, err := strconv.ParseFloat(saw, 64)
		return err == nil && n > 0
	}
	see("the state", `document.getElementById("state").textContent`, func(saw string) bool { return saw == "running" })
	see("a rate", `parseFloat([...document.querySelectorAll("#figures div")].find(d => d.textContent.startsWith("answers/s")).lastChild.textContent)`, positive)
	see("a latency", `[...document.querySelectorAll("#figures div")].find(d => d.textContent.startsWith("latency p99")).lastChild.textContent`,
		func(saw string) bool { return strings.HasSuffix(saw, "s") })
	see("lines in the plots", `document.querySelectorAll("#plots path.a, #plots path.b").length`, positive)
	see("the workers", `document.querySelectorAll("#workers tbody tr").length`, func(saw string) bool { return saw == "3" })
	see("the state of the connection", `document.getElementById("link").textContent`, func(saw string) bool { return saw == "live" })

	status, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(status.Workers[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	see("the death of a worker", `document.getElementById("events").textContent`, func(saw string) bool { return strings.Contains(saw, "worker exited") })
	if code, _, stderr := c.run("reload"); code != 0 {
		t.Fatalf("reload: exit %d, %s", code, stderr)
	}
	see("the new generation", `document.getElementById("about").textContent`, func(saw string) bool { return strings.Contains(saw, "generation 2 ") })
	if len(b.Errors) > 0 {
		t.Errorf("errors on the page's console:\n%s", strings.Join(b.Errors, "\n"))
	}
	saveScreenshots(t, b, c)

	b.Resize(360, 740)
	see("the width on a phone", `document.documentElement.scrollWidth + " of " + innerWidth`, func(saw string) bool { return saw == "360 of 360" })
}

// A page that stays open shows that the server is gone, and continues with the
// server that is started in its place.
func TestStatusPageReconnectsToANewServer(t *testing.T) {
	t.Parallel()
	c := serve(t, observed)
	address := c.MetricsAddress()
	b := StartBrowser(t, "http://"+address+"/", 1240, 1180)
	link := `document.getElementById("link").textContent`
	b.Wait("that it is live", link, func(saw string) bool { return saw == "live" })
	c.Signal(syscall.SIGKILL)
	b.Wait("that the server is gone", link, func(saw string) bool { return strings.HasPrefix(saw, "not connected") })
	if saw := b.Evaluate(`document.body.classList.contains("stale")`); saw != "true" {
		t.Errorf("the old figures are not marked: stale is %s", saw)
	}

	c.write(strings.Replace(observed, "127.0.0.1:0\"\nstatus", address+"\"\nstatus", 1))
	c.Server = StartCommand(t, c.control, exec.Command(c.binary, "serve", "--config", c.config, "--control", c.control))
	c.WaitState("running")
	b.Wait("that it is live again", link, func(saw string) bool { return saw == "live" })
	b.Wait("the new server", `document.getElementById("about").textContent`, func(saw string) bool {
		return strings.Contains(saw, "PID "+strconv.Itoa(c.PID)+" ")
	})
	if saw := b.Evaluate(`document.body.classList.contains("stale")`); saw != "false" {
		t.Errorf("the new figures are marked as old: stale is %s", saw)
	}
}

// saveScreenshots writes screenshots to the directory PREFORK_SCREENSHOT, if it
// is set.
func saveScreenshots(t *testing.T, b *Browser, c *Command) {
	dir := os.Getenv("PREFORK_SCREENSHOT")
	if dir == "" {
		return
	}
	enough := func() (bool, string) {
		saw := b.Evaluate("points.length")
		n, err := strconv.Atoi(saw)
		return err == nil && n >= 100, saw
	}
	for range 8 { // the plots are full after two minutes
		if _, ok := WaitFor(Patience/2, enough); ok {
			break
		}
		if code, _, stderr := c.run("reload"); code != 0 {
			t.Errorf("reload: exit %d, %s", code, stderr)
		}
	}
	b.Screenshot(filepath.Join(dir, "status-page.png"))
	b.Set("prefers-color-scheme", "dark")
	b.Screenshot(filepath.Join(dir, "status-page-dark.png"))
	b.Resize(360, 740)
	b.Screenshot(filepath.Join(dir, "status-page-narrow.png"))
}

func TestStatusPageIsAbsentUnlessEnabled(t *testing.T) {
	c := serve(t, strings.Replace(observed, "status_page = true", "status_page = false", 1))
	base := "http://" + c.MetricsAddress()
	for _, path := range []string{"/", "/events"} {
		if body, err := Fetch(base+path, nil); err == nil || !strings.Contains(err.Error(), "HTTP 404") {
			t.Errorf("GET %s: %q, %v; want 404", path, body, err)
		}
	}
	if body, err := Fetch(base+"/metrics", nil); err != nil || !strings.Contains(body, `prefork_state{state="running"} 1`) {
		t.Errorf("GET /metrics: %q, %v", body, err)
	}
}

// Text from clients is shown on the page, but never as markup.
func TestStatusPageShowsHostileTextAsText(t *testing.T) {
	t.Parallel()
	c := serve(t, observed+"handler = \"http\"\n")
	b := StartBrowser(t, "http://"+c.MetricsAddress()+"/", 1240, 900)
	Wait(t, "the page", func() (bool, string) {
		saw := b.Evaluate(`typeof log + document.querySelectorAll("#workers tbody tr").length`)
		return saw == "function3", saw
	})
	b.Evaluate(`log({seq: 1, at: "2026-01-01T00:00:00Z", level: "warn", message: "<img src=x onerror='hit=1'>", fields: {"<b id=hit>": "<script>hit=1</scr" + "ipt>"}})`)
	b.Evaluate(`workers(Object.assign({}, last, {workers: last.workers.map(w => Object.assign({}, w, {doing: "<i id=hit onclick=x>", state: "\" id=hit"}))}), 1)`)
	if saw := b.Evaluate(`typeof hit + document.querySelectorAll("#events img, #events script, #hit").length`); saw != "undefined0" {
		t.Errorf("text became markup: %s, %s", saw, b.Evaluate(`document.getElementById("events").innerHTML`))
	}
	if saw := b.Evaluate(`document.getElementById("events").textContent`); !strings.Contains(saw, "<img src=x onerror='hit=1'>") {
		t.Errorf("the page shows %q, want the unchanged text", saw)
	}
}
