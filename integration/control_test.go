package integration

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The daemon serves every request of the table in docs/configuration.md. The
// requests that end the server are sent last.
func TestTheControlSocketServesEveryDocumentedRequest(t *testing.T) {
	document, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	requests := regexp.MustCompile("`(GET|POST) (/[^`]*)`").FindAllStringSubmatch(string(document), -1)
	if len(requests) < 11 {
		t.Fatalf("the document has %d requests", len(requests))
	}
	c := serve(t, "listen = [\"tcp://127.0.0.1:0\"]\nworkers = 4\n[reload]\nprobation = \"50ms\"\n")
	var last []string
	for _, r := range requests {
		method, path := r[1], r[2]
		switch {
		case strings.HasSuffix(path, "/drain"), strings.HasSuffix(path, "/stop"):
			last = append(last, path)
		case path == "/v1/stream": // has no end; package master tests it
		case method == http.MethodGet:
			if code, err := c.call(method, path, Patience, nil); err != nil || code != http.StatusOK {
				t.Errorf("%s: %d, %v", path, code, err)
			}
		default:
			c.WaitWorkers(4)
			a, err := c.Command(strings.TrimPrefix(path, "/v1/"))
			if err != nil || a.Code == http.StatusNotFound || !a.OK && !strings.Contains(a.Error, "no worker in slot") {
				t.Errorf("%s: %+v, %v", path, a, err)
			}
		}
	}
	if a, err := c.Command("no-such-thing"); err == nil && a.Code != http.StatusNotFound {
		t.Errorf("answer to an unknown command: %+v", a)
	}
	if len(last) != 2 {
		t.Fatalf("requests in the document that end the server: %v, want two", last)
	}
	if a, err := c.Command("drain"); err != nil || !a.OK {
		t.Errorf("drain: %+v, %v", a, err)
	}
	if code := c.WaitExit(); code != 0 {
		t.Errorf("exit status %d after a drain", code)
	}
}
