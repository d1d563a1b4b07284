package page

import (
	"crypto/sha256"
	_ "embed" // for the document
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

//go:embed page.html
var html string

//go:embed page.css
var style string

//go:embed page.js
var script string

// document is the answer, and the policy that belongs to it.
type document struct {
	text   string
	policy string
}

// assembled is made at the first request, so that a worker does not pay for it.
var assembled = sync.OnceValue(func() document {
	return document{
		text: strings.NewReplacer("{{style}}", style, "{{script}}", script).Replace(html),
		policy: strings.Join([]string{
			"default-src 'none'",
			"script-src " + source(script),
			"style-src " + source(style),
			"connect-src 'self'",
			"img-src data:", // the empty icon
			"base-uri 'none'",
			"form-action 'none'",
			"frame-ancestors 'none'",
		}, "; "),
	}
})

// source names an inline text by its hash.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Handler answers with the page. It may be used from any goroutine.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		d := assembled()
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", d.policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte(d.text)) // fails if the client has left
	})
}
