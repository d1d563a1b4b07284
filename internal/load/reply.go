package load

import (
	"bytes"
	"errors"
	"strconv"
)

// The bounds of an answer of http: its header with the trailer, and the line of
// a chunk's size.
const (
	maxHead      = 64 << 10
	maxChunkLine = 1 << 10
)

var errReply = errors.New("malformed http reply")

// part of an answer that comes next.
const (
	inHead     = iota
	inBody     // left bytes
	chunkSize  // a line
	inChunk    // left bytes
	chunkEnd   // an empty line
	inTrailer  // lines, the last of them empty
	untilClose // all that comes
)

// reply reads one answer of HTTP/1, in any pieces. It allocates only for a header
// in several pieces.
type reply struct {
	state   int
	status  int
	length  int64 // of the body; -1 if the header does not say
	chunked bool
	left    int64
	size    int    // of the trailer so far
	held    []byte // an unfinished header or line
	head    bool   // of a HEAD request: no body
	close   bool   // the connection ends with it
}

func (r *reply) reset(head bool) { *r = reply{head: head, held: r.held[:0]} }

func (r *reply) wanted(e *expect) bool { return e.low <= r.status && r.status <= e.high }

// feed takes the next piece: how much of it was used, what of that is the body,
// and whether the answer is whole. It may use less than all; the caller then
// comes again with the rest.
func (r *reply) feed(p []byte) (n int, body []byte, done bool, err error) {
	switch r.state {
	case inHead:
		n, done, err = r.header(p)
		return n, nil, done, err
	case inBody, inChunk:
		n = int(min(r.left, int64(len(p))))
		r.left -= int64(n)
		if r.left == 0 && r.state == inChunk {
			r.state = chunkEnd
			return n, p[:n], false, nil
		}
		return n, p[:n], r.left == 0, nil
	case untilClose:
		return len(p), p, false, nil
	}
	limit := maxChunkLine
	if r.state == inTrailer {
		limit = maxHead
	}
	n, line, whole, err := takeLine(&r.held, p, limit)
	if err != nil || !whole {
		return n, nil, false, err
	}
	switch r.state {
	case chunkSize:
		size, _, _ := bytes.Cut(line, []byte(";")) // extensions follow
		if r.left, err = parseLength(bytes.TrimSpace(size), 16); err != nil {
			return n, nil, false, err
		}
		r.state = inChunk
		if r.left == 0 {
			r.state = inTrailer
		}
	case chunkEnd:
		if len(line) > 0 {
			return n, nil, false, errReply
		}
		r.state = chunkSize
	default:
		if r.size += n; r.size > maxHead {
			return n, nil, false, errReply
		}
		done = len(line) == 0
	}
	r.held = r.held[:0]
	return n, nil, done, nil
}

// header takes the header, all of it or a piece.
func (r *reply) header(p []byte) (n int, done bool, err error) {
	if len(r.held) == 0 {
		if i := bytes.Index(p, []byte("\r\n\r\n")); i >= 0 {
			done, err = r.parse(p[:i+2])
			return i + 4, done, err
		}
	}
	// The end may lie across the pieces.
	before := len(r.held)
	take := p[:min(len(p), maxHead+1-min(before, maxHead))]
	r.held = append(r.held, take...)
	i := bytes.Index(r.held[max(before-3, 0):], []byte("\r\n\r\n"))
	if i < 0 {
		if len(r.held) > maxHead {
			return len(p), false, errReply
		}
		return len(take), false, nil
	}
	i += max(before-3, 0)
	done, err = r.parse(r.held[:i+2])
	r.held = r.held[:0]
	return i + 4 - before, done, err
}

// parse reads a header: lines, each with its end.
func (r *reply) parse(p []byte) (done bool, err error) {
	// HTTP/1.1 200 OK
	if len(p) < len("HTTP/1.1 200\r\n") || string(p[:7]) != "HTTP/1." || p[7] != '0' && p[7] != '1' || p[8] != ' ' {
		return false, errReply
	}
	r.status = 0
	for _, c := range p[9:12] {
		if c < '0' || c > '9' {
			return false, errReply
		}
		r.status = r.status*10 + int(c-'0')
	}
	if p[12] != ' ' && p[12] != '\r' || r.status < 100 || r.status == 101 {
		return false, errReply
	}
	r.close = p[7] == '0'
	r.length = -1
	for line := range bytes.Lines(p[bytes.IndexByte(p, '\n')+1:]) {
		if err := r.field(line); err != nil {
			return false, err
		}
	}
	if r.status < 200 { // an answer before the answer
		r.reset(r.head)
		return false, nil
	}
	return r.plan(), nil
}

// field reads a field of the header, if it matters.
func (r *reply) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	if len(name) == 0 || len(name) == len(line) {
		return errReply
	}
	switch value = bytes.TrimSpace(value); {
	case is(name, "content-length"):
		n, err := parseLength(value, 10)
		if err != nil || r.length >= 0 && r.length != n {
			return errReply
		}
		r.length = n
	case is(name, "transfer-encoding"):
		if !is(value, "chunked") {
			return errReply // nothing else was asked for
		}
		r.chunked = true
	case is(name, "connection"):
		for word := range bytes.SplitSeq(value, []byte(",")) {
			if word = bytes.TrimSpace(word); is(word, "close") {
				r.close = true
			} else if is(word, "keep-alive") {
				r.close = false
			}
		}
	}
	return nil
}

// plan decides how the body ends, and reports whether there is none.
func (r *reply) plan() (done bool) {
	switch {
	case r.head, r.status == 204, r.status == 304, r.length == 0 && !r.chunked:
		return true
	case r.chunked:
		r.state = chunkSize
	case r.length > 0:
		r.state, r.left = inBody, r.length
	default:
		r.state, r.close = untilClose, true
	}
	return false
}

// is compares without regard to case.
func is(p []byte, want string) bool {
	return len(p) == len(want) && bytes.EqualFold(p, []byte(want))
}

func parseLength(p []byte, base int) (int64, error) {
	n, err := strconv.ParseUint(string(p), base, 48)
	if err != nil {
		return 0, errReply
	}
	return int64(n), nil
}
