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

// The buffers of a StreamHandler that names no size, in bytes.
const (
	defaultRBufSize = 4 << 10
	defaultWBufSize = 4 << 10
)

// errStreamShared is what Setup says to a StreamHandler that is in use.
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
// It holds one connection's state, so it is given by NewHandler; one value for
// all connections is refused by Setup. A handler with a Setup or Finish of its
// own calls the embedded one, Setup first and Finish last.
//
// RFile and WFile live from Setup to Finish and must not be used afterwards:
// their buffers go on to another connection.
type StreamHandler struct {
	BaseHandler

	// RBufSize is the size of RFile's buffer in bytes; 0 and below are 4 KiB.
	RBufSize int

	// WBufSize decides when WFile sends.
	//
	// 0 keeps what socketserver's unbuffered default promises, that a handler
	// never has to flush before it reads: WFile has 4 KiB, and whenever RFile
	// has to wait for the client, what WFile holds is sent first. Answers to
	// requests that arrived together thus leave together. RFile and WFile are
	// then for one goroutine, and a handler that wants its words to leave
	// while it works on calls WFile.Flush.
	//
	// Above 0 it is the size of an ordinary buffer, and below 0 an ordinary
	// buffer has 4 KiB: it is sent when it is full, by Flush, and in Finish.
	// One goroutine may then read while another writes.
	WBufSize int

	// Timeout bounds each read and each write of the connection; none if 0.
	// The error satisfies net.Error with Timeout() true. It sets the
	// connection's deadlines before each call, so a handler that sets its own
	// leaves it 0.
	Timeout time.Duration

	// DisableNagle sets TCP_NODELAY. The master sets it on its TCP listeners
	// anyway, from where connections inherit it; this is for a connection
	// that came another way. Unix sockets know no such delay.
	DisableNagle bool

	RFile *bufio.Reader
	WFile *bufio.Writer

	// r and w are what Setup made, whatever the handler does to the fields
	// above.
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
	h.w = writers.get(bufferSize(h.WBufSize, defaultWBufSize), out)
	in := &streamReader{conn: c, timeout: h.Timeout}
	if h.WBufSize == 0 {
		in.flushFirst = h.w
	}
	h.r = readers.get(bufferSize(h.RBufSize, defaultRBufSize), in)
	h.RFile, h.WFile = h.r, h.w
	return nil
}

// Finish flushes WFile and takes both files away. Unlike socketserver's it
// returns the error of that flush: an answer that did not leave is a failure.
func (h *StreamHandler) Finish(context.Context, *Conn) error {
	if h.w == nil {
		return nil
	}
	err := h.w.Flush()
	writers.put(h.w)
	readers.put(h.r)
	h.r, h.w, h.RFile, h.WFile = nil, nil, nil, nil
	h.busy.Store(false)
	if err != nil {
		return fmt.Errorf("flush answer: %w", err)
	}
	return nil
}

// bufferSize returns the size that a field asks for.
func bufferSize(asked, otherwise int) int {
	if asked <= 0 {
		return otherwise
	}
	return asked
}

// streamReader is what RFile reads from.
type streamReader struct {
	conn       *Conn
	timeout    time.Duration
	flushFirst *bufio.Writer // sent before a read; nil if the handler flushes
}

// Read is called only when RFile's buffer is empty, which is when the handler
// has answered all that has arrived.
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

// timedWriter bounds each write. Without a timeout WFile writes to the Conn
// itself, so that io.Copy into WFile still reaches the Conn's ReadFrom.
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

// The buffers in reserve. A program's handlers nearly always agree on one
// size, so one pool of each kind does: a buffer of another size is dropped.
var (
	readers readerPool
	writers writerPool
)

type readerPool struct{ sync.Pool }

func (p *readerPool) get(size int, from io.Reader) *bufio.Reader {
	r, _ := p.Get().(*bufio.Reader)
	if r == nil || r.Size() != size {
		return bufio.NewReaderSize(from, size)
	}
	r.Reset(from)
	return r
}

func (p *readerPool) put(r *bufio.Reader) {
	r.Reset(nil) // or the pool would keep the connection alive
	p.Put(r)
}

type writerPool struct{ sync.Pool }

func (p *writerPool) get(size int, to io.Writer) *bufio.Writer {
	w, _ := p.Get().(*bufio.Writer)
	if w == nil || w.Size() != size {
		return bufio.NewWriterSize(to, size)
	}
	w.Reset(to)
	return w
}

func (p *writerPool) put(w *bufio.Writer) {
	w.Reset(nil)
	p.Put(w)
}
