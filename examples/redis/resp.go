package main

import (
	"bytes"
	"io"
	"strconv"
)

// The limits of one command.
const (
	maxArgs    = 1024
	maxBulk    = 1 << 20                         // bytes of one argument
	maxCommand = 4 << 20                         // bytes of all arguments
	maxCount   = 32                              // bytes of a line such as "*3"
	maxInline  = 16 << 10                        // bytes of an inline command
	maxMessage = maxCommand + maxArgs*2*maxCount // bytes of a command as it is sent, at least
)

// protocolError is a violation of the protocol, with the message of Redis. The
// connection cannot be used after it.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// parser finds commands in what a client has sent:
//
//	*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n    an array of bulk strings
//	ECHO "hi"\r\n                       inline: words, as a person types them
type parser struct {
	args [][]byte // of the last command
	buf  []byte   // the words of an inline command, without their quotes
}

// split is a bufio.SplitFunc. The message is a whole command, with its arguments in
// p.args until the next call: none for an empty line. Errors are protocolError, or
// io.ErrUnexpectedEOF within a command.
func (p *parser) split(data []byte, atEOF bool) (size int, message []byte, err error) {
	p.args = p.args[:0]
	switch {
	case len(data) == 0:
		return 0, nil, nil
	case data[0] == '*':
		size, err = p.array(data)
	default:
		size, err = p.inline(data)
	}
	switch {
	case err != nil:
		return 0, nil, err
	case size > 0:
		return size, data[:size], nil
	case atEOF:
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// array parses the form that client libraries send. It returns the size of the
// command, or 0 if a part is missing. An argument is a slice of data, so a command
// that arrives in many pieces costs little.
func (p *parser) array(data []byte) (int, error) {
	n, at, err := count(data, '*', maxArgs, "multibulk", "mbulk")
	if at == 0 {
		return 0, err
	}
	total := 0
	for range n {
		if at == len(data) {
			return 0, nil
		}
		if data[at] != '$' {
			return 0, protocolError("expected '$', got " + strconv.QuoteRune(rune(data[at])))
		}
		size, header, err := count(data[at:], '$', maxBulk, "bulk", "bulk")
		if header == 0 {
			return 0, err
		}
		if total += size; size < 0 || total > maxCommand {
			return 0, protocolError("invalid bulk length")
		}
		start, end := at+header, at+header+size
		if at = end + 2; at > len(data) {
			return 0, nil
		}
		if string(data[end:at]) != "\r\n" {
			return 0, protocolError("expected CRLF after a bulk string")
		}
		p.args = append(p.args, data[start:end:end])
	}
	return at, nil
}

// count parses a line such as "*3", and returns the number and the size of the line, or
// 0 if its end is missing. Errors contain kind or short: Redis uses two names for
// the same thing.
func count(data []byte, mark byte, most int, kind, short string) (n, size int, err error) {
	end := bytes.IndexByte(data[:min(len(data), maxCount)], '\n')
	if end < 0 && len(data) >= maxCount {
		return 0, 0, protocolError("too big " + short + " count string")
	}
	if end < 0 {
		return 0, 0, nil
	}
	digits, ok := bytes.CutSuffix(data[1:end+1], []byte("\r\n"))
	n, perr := strconv.Atoi(string(digits))
	if data[0] != mark || !ok || perr != nil || digits[0] == '+' || n > most {
		return 0, 0, protocolError("invalid " + kind + " length")
	}
	return n, end + 1, nil
}

// inline parses the form that people type. It returns what array does.
func (p *parser) inline(data []byte) (size int, err error) {
	end := bytes.IndexByte(data[:min(len(data), maxInline)], '\n')
	if end < 0 && len(data) >= maxInline {
		return 0, protocolError("too big inline request")
	}
	if end < 0 {
		return 0, nil
	}
	p.buf = p.buf[:0]
	line := bytes.TrimRight(data[:end], "\r")
	if cap(p.buf) < len(line) {
		p.buf = make([]byte, 0, len(line)) // a word has no more bytes than its text
	}
	for {
		line = bytes.TrimLeft(line, " \t")
		if len(line) == 0 {
			return end + 1, nil
		}
		if len(p.args) == maxArgs {
			return 0, protocolError("too many arguments in an inline request")
		}
		start := len(p.buf)
		if line, err = p.word(line); err != nil {
			return 0, err
		}
		p.args = append(p.args, p.buf[start:len(p.buf):len(p.buf)])
	}
}

// word appends the first word of line to buf and returns the rest. Quoted words
// may contain blanks. Double quotes also allow \n, \r, \t, \xHH and escaped
// characters.
func (p *parser) word(line []byte) (rest []byte, err error) {
	const unbalanced = protocolError("unbalanced quotes in request")
	quote := line[0]
	if quote != '"' && quote != '\'' {
		end := bytes.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		p.buf = append(p.buf, line[:end]...)
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
			p.buf = append(p.buf, b)
			i += used - 1
		case c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			p.buf = append(p.buf, '\'')
			i++
		default:
			p.buf = append(p.buf, c)
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

// replies are the answers to a client that have not been written.
type replies struct{ buf []byte }

// keepBuffer is how much memory replies keep.
const keepBuffer = 64 << 10

// send writes the replies to w.
func (r *replies) send(w io.Writer) error {
	_, err := w.Write(r.buf)
	if r.buf = r.buf[:0]; cap(r.buf) > keepBuffer {
		r.buf = nil
	}
	return err
}

func (r *replies) simple(s string) { r.line('+', s) }

func (r *replies) integer(n int64) { r.number(':', n) }

func (r *replies) array(n int) { r.number('*', int64(n)) }

func (r *replies) bulk(b []byte) {
	r.number('$', int64(len(b)))
	r.buf = append(append(r.buf, b...), "\r\n"...)
}

func (r *replies) null() { r.number('$', -1) }

// failure adds an error reply. s begins with a code, such as ERR, and has no line
// end.
func (r *replies) failure(s string) { r.line('-', s) }

func (r *replies) number(mark byte, n int64) {
	r.buf = append(strconv.AppendInt(append(r.buf, mark), n, 10), "\r\n"...)
}

func (r *replies) line(mark byte, s string) {
	r.buf = append(append(append(r.buf, mark), s...), "\r\n"...)
}
