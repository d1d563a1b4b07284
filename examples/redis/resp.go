package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// readBuffer is the size of the buffer that commands are read with. An inline
// command must fit into it.
const readBuffer = 16 << 10

// commandLimits bound the memory of one command.
const (
	maxArgs    = 1024
	maxBulk    = 1 << 20 // bytes of one argument
	maxCommand = 4 << 20 // bytes of all arguments
	keepBuffer = 64 << 10
)

// protocolError is a violation of the protocol, with the message of Redis. The
// connection cannot be used after it.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// reader reads commands:
//
//	*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n    an array of bulk strings
//	ECHO "hi"\r\n                       inline: words, as a person types them
type reader struct {
	in   *bufio.Reader
	buf  []byte   // all arguments
	ends []int    // the end of each argument in buf
	args [][]byte // slices of buf
}

// newReader returns a reader of commands. An inline command must fit into in's
// buffer.
func newReader(in *bufio.Reader) *reader { return &reader{in: in} }

// next returns the arguments of the next command, or none for an empty line.
// They are valid until the next call. Errors are io.EOF between two commands,
// io.ErrUnexpectedEOF within one, protocolError, or an error of the connection.
func (r *reader) next() ([][]byte, error) {
	r.reset()
	first, err := r.in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == '*' {
		err = r.array()
	} else {
		err = r.inline()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	start := 0
	for _, end := range r.ends {
		r.args = append(r.args, r.buf[start:end:end])
		start = end
	}
	return r.args, nil
}

// reset discards the last command. It also frees the buffer of a large one.
func (r *reader) reset() {
	if cap(r.buf) > keepBuffer {
		r.buf = nil
	}
	r.buf, r.ends, r.args = r.buf[:0], r.ends[:0], r.args[:0]
}

// array reads the form that client libraries send.
func (r *reader) array() error {
	n, err := r.count('*', maxArgs, "multibulk", "mbulk")
	if err != nil {
		return err
	}
	for range n {
		first, err := r.in.Peek(1)
		if err != nil {
			return err
		}
		if first[0] != '$' {
			return protocolError("expected '$', got " + strconv.QuoteRune(rune(first[0])))
		}
		size, err := r.count('$', maxBulk, "bulk", "bulk")
		if err != nil {
			return err
		}
		if size < 0 || len(r.buf)+size > maxCommand {
			return protocolError("invalid bulk length")
		}
		if err := r.bulk(size); err != nil {
			return err
		}
	}
	return nil
}

// count reads a line such as "*3". Errors contain kind or short: Redis uses two
// names for the same thing.
func (r *reader) count(mark byte, most int, kind, short string) (int, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > 32 {
		return 0, protocolError("too big " + short + " count string")
	}
	if err != nil {
		return 0, err
	}
	digits, ok := bytes.CutSuffix(line[1:], []byte("\r\n"))
	n, perr := strconv.Atoi(string(digits))
	if line[0] != mark || !ok || perr != nil || digits[0] == '+' || n > most {
		return 0, protocolError("invalid " + kind + " length")
	}
	return n, nil
}

// bulk reads one argument. It allocates memory as bytes arrive, so that a client
// cannot make it allocate a large buffer by announcing a large size.
func (r *reader) bulk(size int) error {
	for size > 0 {
		have := len(r.buf)
		step := min(size, max(have, readBuffer))
		r.buf = append(r.buf, make([]byte, step)...)
		if _, err := io.ReadFull(r.in, r.buf[have:]); err != nil {
			return err
		}
		size -= step
	}
	r.ends = append(r.ends, len(r.buf))
	var end [2]byte
	if _, err := io.ReadFull(r.in, end[:]); err != nil {
		return err
	}
	if end != [2]byte{'\r', '\n'} {
		return protocolError("expected CRLF after a bulk string")
	}
	return nil
}

// inline reads the form that people type.
func (r *reader) inline() error {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return protocolError("too big inline request")
	}
	if err != nil {
		return err
	}
	line = bytes.TrimRight(line, "\r\n")
	for {
		line = bytes.TrimLeft(line, " \t")
		if len(line) == 0 {
			return nil
		}
		if len(r.ends) == maxArgs {
			return protocolError("too many arguments in an inline request")
		}
		if line, err = r.word(line); err != nil {
			return err
		}
		r.ends = append(r.ends, len(r.buf))
	}
}

// word appends the first word of line to buf and returns the rest. Quoted words
// may contain blanks. Double quotes also allow \n, \r, \t, \xHH and escaped
// characters.
func (r *reader) word(line []byte) (rest []byte, err error) {
	const unbalanced = protocolError("unbalanced quotes in request")
	quote := line[0]
	if quote != '"' && quote != '\'' {
		end := bytes.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		r.buf = append(r.buf, line[:end]...)
		return line[end:], nil
	}
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == quote:
			if i+1 < len(line) && line[i+1] != ' ' && line[i+1] != '\t' {
				return nil, unbalanced // a closing quote must end the word
			}
			return line[i+1:], nil
		case c == '\\' && quote == '"':
			b, used := unescape(line[i:])
			r.buf = append(r.buf, b)
			i += used - 1
		case c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			r.buf = append(r.buf, '\'')
			i++
		default:
			r.buf = append(r.buf, c)
		}
	}
	return nil, unbalanced
}

// unescape reads an escape sequence and returns its byte and its length. A
// backslash at the end of the line is returned as it is; the caller reports the
// missing quote.
func unescape(s []byte) (b byte, used int) {
	if len(s) < 2 {
		return '\\', 1
	}
	switch s[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'a':
		return '\a', 2
	case 'x':
		if len(s) >= 4 {
			if v, err := strconv.ParseUint(string(s[2:4]), 16, 8); err == nil {
				return byte(v), 4
			}
		}
	}
	return s[1], 2
}

// replies writes replies. The bufio.Writer keeps errors and returns them at the
// next flush.
type replies struct{ *bufio.Writer }

func (w replies) simple(s string) {
	_ = w.WriteByte('+')
	w.end(s)
}

func (w replies) integer(n int64) { w.number(':', n) }

func (w replies) array(n int) { w.number('*', int64(n)) }

func (w replies) bulk(b []byte) {
	w.number('$', int64(len(b)))
	_, _ = w.Write(b)
	w.end("")
}

func (w replies) null() { w.end("$-1") }

// failure writes an error reply. s begins with a code, such as ERR, and has no
// line end.
func (w replies) failure(s string) {
	_ = w.WriteByte('-')
	w.end(s)
}

func (w replies) number(mark byte, n int64) {
	_ = w.WriteByte(mark)
	_, _ = w.Write(strconv.AppendInt(w.AvailableBuffer(), n, 10))
	w.end("")
}

func (w replies) end(s string) {
	_, _ = w.WriteString(s)
	_, _ = w.WriteString("\r\n")
}
