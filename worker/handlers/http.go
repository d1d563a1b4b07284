package handlers

import (
	_ "embed"
	"io"
	"net/http"
	"strings"
	"time"

	"prefork/worker"
)

var httpSpec = Spec{
	Name:    "http",
	Summary: "serves a directory's files over HTTP, and /healthz",
	HTTP:    true,
	Options: []Option{{
		Key: "root", Kind: Path, Default: "",
		Doc: "directory to serve, or a link to it, which may be moved; a page that says so if empty",
	}, {
		Key: "list", Kind: Bool, Default: false,
		Doc: "list a directory that has no index.html, instead of 404",
	}, {
		Key: "hidden", Kind: Bool, Default: false,
		Doc: "serve names that begin with a dot; otherwise only .well-known",
	}, {
		Key: "read_header_timeout", Kind: Duration, Default: 10 * time.Second, min: int64(time.Millisecond), max: int64(time.Hour),
		Doc: "time for a request's header, from its first byte",
	}, {
		Key: "read_timeout", Kind: Duration, Default: time.Minute, min: int64(time.Millisecond), max: int64(24 * time.Hour),
		Doc: "time for a whole request, its body included",
	}, {
		Key: "idle_timeout", Kind: Duration, Default: 2 * time.Minute, min: int64(time.Millisecond), max: int64(24 * time.Hour),
		Doc: "how long a connection may wait for its next request",
	}, {
		Key: "max_header", Kind: Size, Default: int64(64 << 10), min: 4 << 10, max: 16 << 20,
		Doc: "longest header of a request in bytes",
	}, {
		Key: "lame_duck", Kind: Duration, Default: defaultLameDuck, min: int64(time.Millisecond), max: int64(time.Hour),
		Doc: "how long a connection must be silent during a drain before it is closed",
	}},
	build: buildHTTP,
}

//go:embed index.html
var indexPage string

func buildHTTP(v values, o *worker.Options) error {
	files := http.Handler(http.HandlerFunc(serveIndex))
	if path := v.string("root"); path != "" {
		root, err := newSite(path, v.bool("list"), v.bool("hidden"))
		if err != nil {
			return &OptionError{Handler: "http", Key: "root", Err: err}
		}
		files = http.FileServer(root)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", serveHealth)
	mux.Handle("/", readOnly(fewRanges(files)))
	service := HTTPServer(&http.Server{
		Handler:           mux,
		ReadHeaderTimeout: v.duration("read_header_timeout"),
		ReadTimeout:       v.duration("read_timeout"),
		IdleTimeout:       v.duration("idle_timeout"),
		MaxHeaderBytes:    v.size("max_header"),
	})
	service.LameDuck = v.duration("lame_duck")
	o.Service = service
	return nil
}

// readOnly answers what asks for more than reading with 405.
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

// maxRanges bounds the ranges of one request. Each is a part of the answer with
// a header of its own, so thousands of single bytes cost as much as hundreds of
// requests.
const maxRanges = 32

// fewRanges answers a request for more ranges than maxRanges with the whole
// file, as RFC 9110, 14.2 permits. net/http itself does so for ranges that are
// longer than the file together.
func fewRanges(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
			r.Header.Del("Range")
		}
		next.ServeHTTP(w, r)
	})
}

// serveHealth tells a load balancer whether to send more to this address: not
// if the server is going to end. If only this worker or its generation is,
// others answer there, and the client is led to them by the Connection: close
// of every answer during a drain.
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
