package handlers

import (
	_ "embed"
	"io"
	"net/http"
	"strings"
)

//go:embed index.html
var indexPage string

// Files serves the files of the directory root over HTTP, and /healthz. root may
// be a link, which may be moved; if it is "", a page that says so is served. list
// lists a directory that has no index.html, instead of 404; hidden serves names
// that begin with a dot, of which otherwise only .well-known is served.
func Files(root string, list, hidden bool) (http.Handler, error) {
	files := http.Handler(http.HandlerFunc(serveIndex))
	if root != "" {
		site, err := newSite(root, list, hidden)
		if err != nil {
			return nil, err
		}
		files = sendSmall(http.FileServer(site))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", serveHealth)
	mux.Handle("/", readOnly(fewRanges(files)))
	return mux, nil
}

// readOnly answers 405 to other methods than GET and HEAD.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maxRanges limits the ranges of one request: each has a header in the answer, so
// thousands of single bytes would cost as much as hundreds of requests.
const maxRanges = 32

// fewRanges answers a request for more ranges than maxRanges with the whole
// file, as RFC 9110, 14.2 permits.
func fewRanges(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
			r.Header.Del("Range")
		}
		next.ServeHTTP(w, r)
	})
}

// serveHealth answers 503 if the whole server is going to end. If only this worker or
// its generation is, others serve the same address, so a load balancer need not know.
func serveHealth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	select {
	case <-Leaving(r.Context()):
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "draining\n")
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

func serveIndex(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, indexPage)
}
