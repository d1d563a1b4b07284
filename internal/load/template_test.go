package load

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestATemplateReplacesItsNumbersAlone(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"hello {n}\n", "hello 42\n"},
		{"{n:8}", "00000042"},
		{"{n}{n:3}", "42042"},
		{`{"a":{"n":{n}}}`, `{"a":{"n":42}}`},
		{"{n:}{n:0}{n:21}{n:x}{n:+1}{m}{", "{n:}{n:0}{n:21}{n:x}{n:+1}{m}{"},
		{"", ""},
	} {
		tpl := parseTemplate(c.text)
		if got := string(tpl.append(nil, 42)); got != c.want || tpl.length(42) != len(got) {
			t.Errorf("%q is %q of length %d, want %q", c.text, got, tpl.length(42), c.want)
		}
	}
}

func TestNoNumberOfARunRepeats(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]int)
	url := plain(t, func(c *net.TCPConn, n int) {
		lines(func(_ int, line string) (string, bool) {
			mu.Lock()
			seen[line]++
			mu.Unlock()
			return line, true
		})(c, n)
	})
	r := do(t, Options{URL: url, Loops: 3, Connections: 7, Pipeline: 3, Requests: 2000, Expect: "echo", Payload: []byte("{n:6}\n"), Template: true})
	mu.Lock() // for the race detector, which does not know of sockets
	defer mu.Unlock()
	if r.Requests != 2000 || r.Failed() != 0 || len(seen) != 2000 {
		t.Errorf("%d requests, %d different, errors %v %v", r.Requests, len(seen), r.Errors, r.Examples)
	}
	for line, n := range seen {
		if n != 1 || len(line) != 7 {
			t.Errorf("%q was received %d times", line, n)
		}
	}
}

func TestEscapesAreWhatTheyStandFor(t *testing.T) {
	got, err := Unescape(`a\n\r\t\0\\\"\x41\xff{n}`)
	if want := "a\n\r\t\x00\\\"A\xff{n}"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for _, text := range []string{`\`, `a\q`, `\x4`, `\xzz`} {
		if got, err := Unescape(text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

func TestATargetWithoutASchemeIsTCP(t *testing.T) {
	for text, want := range map[string]string{
		":9999": "localhost:9999", "tcp://:9999": "localhost:9999", "127.0.0.1:9999": "127.0.0.1:9999",
		"localhost:9999": "localhost:9999", "[::1]:9999": "[::1]:9999",
	} {
		got, err := parseTarget(text)
		if err != nil || got.network != "tcp" || got.address != want || got.http {
			t.Errorf("parseTarget(%q) = %+v, %v; want TCP to %s", text, got, err, want)
		}
	}
	for _, text := range []string{"9999", "localhost", "unix:/x", ":"} {
		if got, err := parseTarget(text); err == nil {
			t.Errorf("parseTarget(%q) = %+v", text, got)
		}
	}
}

func FuzzExpressions(f *testing.F) {
	for _, text := range []string{"hello {n:8}\\n", "lines:3", "bytes:17", "status:2xx", "regex:^a+$", "echo", "tcp://a:1", "http://[::1]:80/x?y", "unix:///a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tpl := parseTemplate(text)
		if got := tpl.append(nil, 7); len(got) != tpl.length(7) {
			t.Fatalf("%q: %d bytes, length %d", text, len(got), tpl.length(7))
		}
		if out, err := Unescape(text); err == nil && len(out) > len(text) {
			t.Fatalf("%q grew to %q", text, out)
		}
		_, _ = parseExpect(text)
		_, _ = parseTarget(text)
		_ = Options{URL: text, Expect: text, Header: []string{text}, Reply: text, Payload: []byte(text)}.Validate()
	})
}

func TestTheOptionsAreCheckedAllAtOnce(t *testing.T) {
	errs := Options{
		URL: "gopher://x", Mode: "busy", Connections: -1, Timeout: -1, Rate: "x", Expect: "y", Source: []string{"z"}, Loops: 1000,
	}.Validate()
	var all []string
	for _, err := range errs {
		word, _, _ := strings.Cut(err.Error(), ":")
		all = append(all, word)
	}
	for _, word := range []string{"url", "mode", "connections", "timeout", "rate", "expect", "source", "loops"} {
		if !slices.Contains(all, word) {
			t.Errorf("no error about %s: %v", word, errs)
		}
	}
	for _, o := range []Options{
		{URL: "tcp://x:1"}, {URL: "http://x"}, {URL: "http://[::1]/a?b"}, {URL: "unix:///a"}, {URL: "http+unix://%2Fa/b"}, {URL: "tcp://x:1", Connections: 1, Loops: 1},
	} {
		if errs := o.Validate(); len(errs) > 0 {
			t.Errorf("%s: %v", fmt.Sprint(o.URL), errs)
		}
	}
}
