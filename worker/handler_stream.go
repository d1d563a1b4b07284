package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// defaultBufSize is the size of a StreamHandler's buffers in bytes.
const defaultBufSize = 4 << 10

var errStreamShared = errors.New("stream handler serves a connection already: make one a connection with NewHandler")

// StreamHandler is socketserver's StreamRequestHandler: it gives the handler
// that embeds it a buffered RFile and WFile. Only Handle is left to write:
//
//	type shout struct{ worker.StreamHandler }
//
//	func (h *shout) Handle(ctx context.Context, c *worker.Conn) error {
//		line, err := h.RFile.ReadString('\n')
//		if err != nil {
//			return err
//		}
//		_, err = h.WFile.WriteString(strings.ToUpper(line))
//		return err
//	}
//
// It has the state of one connection, so NewHandler must return a new one each time;
// Setup refuses one that is in use. A handler with its own Setup or Finish calls the
// embedded one, Setup first and Finish last.
//
// RFile and WFile are valid from Setup to Finish: another connection gets their
// buffers afterwards.
type StreamHandler struct {
	BaseHandler

	// RBufSize is the size of RFile's buffer in bytes; 0 and below are 4 KiB.
	RBufSize int

	// WBufSize decides when WFile sends.
	//
	// With 0 a handler need not flush before it reads, as with socketserver's
	// unbuffered default: WFile has 4 KiB, which are sent before RFile waits for
	// the client. So answers to requests that arrived together are sent together.
	// RFile and WFile are then for one goroutine, and WFile.Flush sends an answer
	// while the handler works on.
	//
	// Above 0 it is the size of an ordinary buffer, below 0 that has 4 KiB: it is
	// sent when it is full, by Flush, and in Finish. One goroutine may then read
	// while another writes.
	WBufSize int

	// Timeout limits each read and each write of the connection; 0 is no limit.
	// The error is a net.Error with Timeout() true. It sets the connection's
	// deadlines, so a handler that sets its own must leave it 0.
	Timeout time.Duration

	// DisableNagle sets TCP_NODELAY, which connections have by default: they
	// inherit it from the master's listeners. It does nothing on a Unix socket.
	DisableNagle bool

	RFile *bufio.Reader
	WFile *bufio.Writer

	// What Setup made, in case the handler changes the fields above.
	r *bufio.Reader
	w *bufio.Writer

	busy atomic.Bool
}

// Setup makes RFile and WFile.
func (h *StreamHandler) Setup(_ context.Context, c *Conn) error {
	if !h.busy.CompareAndSwap(false, true) {
		return errStreamShared
	}
	if h.DisableNagle {
		if err := c.SetNoDelay(true); err != nil {
			h.busy.Store(false)
			return fmt.Errorf("disable nagle: %w", err)
		}
	}
	out := io.Writer(c)
	if h.Timeout > 0 {
		out = &timedWriter{conn: c, timeout: h.Timeout}
	}
	h.w = getWriter(h.WBufSize, out)
	in := &streamReader{conn: c, timeout: h.Timeout}
	if h.WBufSize == 0 {
		in.flushFirst = h.w
	}
	h.r = getReader(h.RBufSize, in)
	h.RFile, h.WFile = h.r, h.w
	return nil
}

// Finish flushes WFile, and returns the error of that, which socketserver ignores.
func (h *StreamHandler) Finish(context.Context, *Conn) error {
	if h.w == nil {
		return nil
	}
	err := h.w.Flush()
	h.w.Reset(nil) // or the pool would keep the connection alive
	h.r.Reset(nil)
	writers.Put(h.w)
	readers.Put(h.r)
	h.r, h.w, h.RFile, h.WFile = nil, nil, nil, nil
	h.busy.Store(false)
	if err != nil {
		return fmt.Errorf("flush answer: %w", err)
	}
	return nil
}

// streamReader is what RFile reads from.
type streamReader struct {
	conn       *Conn
	timeout    time.Duration
	flushFirst *bufio.Writer // nil if the handler flushes
}

// Read is called when RFile's buffer is empty: the handler has answered everything
// that has arrived.
func (r *streamReader) Read(p []byte) (int, error) {
	if r.flushFirst != nil && r.flushFirst.Buffered() > 0 {
		if err := r.flushFirst.Flush(); err != nil {
			return 0, fmt.Errorf("flush answer: %w", err)
		}
	}
	if r.timeout > 0 {
		if err := r.conn.SetReadDeadline(time.Now().Add(r.timeout)); err != nil {
			return 0, err
		}
	}
	return r.conn.Read(p)
}

// timedWriter limits each write. Without a timeout WFile writes to the Conn itself,
// so that io.Copy into WFile uses the Conn's ReadFrom.
type timedWriter struct {
	conn    *Conn
	timeout time.Duration
}

func (w *timedWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.conn.Write(p)
}

// The handlers of a program nearly always use one size, so a buffer of another size
// is dropped.
var readers, writers sync.Pool

func getReader(size int, from io.Reader) *bufio.Reader {
	if size <= 0 {
		size = defaultBufSize
	}
	r, _ := readers.Get().(*bufio.Reader)
	if r == nil || r.Size() != size {
		return bufio.NewReaderSize(from, size)
	}
	r.Reset(from)
	return r
}

func getWriter(size int, to io.Writer) *bufio.Writer {
	if size <= 0 {
		size = defaultBufSize
	}
	w, _ := writers.Get().(*bufio.Writer)
	if w == nil || w.Size() != size {
		return bufio.NewWriterSize(to, size)
	}
	w.Reset(to)
	return w
}
