package metrics

import (
	"bytes"
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"prefork"
)

// Source returns the server's status; (*prefork.Server).Status is one.
type Source func(context.Context) (prefork.Status, error)

// maxScrapes bounds the answers that are being made at once. Others wait.
const maxScrapes = 8

// Handler answers a scrape. It may be used from any goroutine.
func Handler(status Source) http.Handler {
	scrapes := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case scrapes <- struct{}{}:
			defer func() { <-scrapes }()
		case <-r.Context().Done():
			return
		}
		s, err := status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		format := Negotiate(r.Header.Values("Accept"))
		var b bytes.Buffer
		Write(&b, format, &s)
		h := w.Header()
		h.Set("Content-Type", format.ContentType())
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Length", strconv.Itoa(b.Len()))
		_, _ = w.Write(b.Bytes()) // fails if the client has left
	})
}

// Negotiate chooses the format that an Accept header prefers: OpenMetrics 1.0
// only where it is named and not liked less than plain text.
func Negotiate(accept []string) Format {
	open, plain := 0.0, 0.0
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		switch v := params["version"]; {
		case kind == "application/openmetrics-text" && (v == "1.0.0" || v == ""):
			open = max(open, q)
		case kind == "text/plain" && (v == "0.0.4" || v == ""):
			plain = max(plain, q)
		}
	}
	if open > 0 && open >= plain {
		return OpenMetrics
	}
	return Text
}
