package load

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// bodiless is the method whose answers have no body. net/http has a name for
// it, and would have to be linked for it.
const bodiless = "HEAD"

// maxLine bounds what is kept of an answer: a line or a body that a regular
// expression is matched against, or the answer to a greeting.
const maxLine = 64 << 10

type kind int

const (
	wantLines kind = iota // so many line feeds
	wantBytes             // so many bytes
	wantReply             // a template
	wantRegex             // a line that matches
	wantHTTP              // a status, and perhaps a body that is given or matches
)

// expect is what a right answer is. It is immutable, and shared by all loops.
type expect struct {
	kind      kind
	n         int64 // of wantLines and wantBytes
	reply     template
	checked   bool // wantHTTP: the body must be the reply
	regex     *regexp.Regexp
	low, high int // the statuses
	head      bool
}

// Expectations lists the words that an expectation begins with.
func Expectations() []string {
	return []string{"echo", "upper", "lines:", "bytes:", "regex:", "status:"}
}

// parseExpect reads an expectation: echo (the reply is the request), upper (it
// is the request in capitals), lines:N and bytes:N (so much comes), regex:RE (a
// line comes that matches), and for http status:200, status:2xx or regex:RE (the
// status is 2xx, and the body matches).
func parseExpect(text string) (expect, error) {
	word, value, _ := strings.Cut(text, ":")
	switch word {
	case "echo", "upper":
		if text != word {
			return expect{}, fmt.Errorf("expect: %s takes no value; not %q", word, cut(text, 40))
		}
		return expect{kind: wantReply}, nil
	case "lines", "bytes":
		n, err := strconv.ParseUint(value, 10, 40)
		if err != nil || n == 0 {
			return expect{}, fmt.Errorf("expect: want a number such as %s:1, not %q", word, cut(text, 40))
		}
		e := expect{kind: wantLines, n: int64(n)}
		if word == "bytes" {
			e.kind = wantBytes
		}
		return e, nil
	case "regex":
		re, err := regexp.Compile(value)
		if err != nil || value == "" {
			return expect{}, fmt.Errorf("expect: want regex:RE with a regular expression, not %q", cut(text, 80))
		}
		return expect{kind: wantRegex, regex: re}, nil
	case "status":
		return parseStatus(value)
	}
	return expect{}, fmt.Errorf("expect: want echo, upper, lines:N, bytes:N, regex:RE or status:CODE, not %q", cut(text, 40))
}

func parseStatus(value string) (expect, error) {
	if len(value) == 3 && value[0] >= '1' && value[0] <= '5' {
		if strings.EqualFold(value[1:], "xx") {
			class := int(value[0]-'0') * 100
			return expect{kind: wantHTTP, low: class, high: class + 99}, nil
		}
		if n, err := strconv.ParseUint(value, 10, 16); err == nil {
			return expect{kind: wantHTTP, low: int(n), high: int(n)}, nil
		}
	}
	return expect{}, fmt.Errorf("expect: want a status such as status:200 or status:2xx, not %q", cut(value, 40))
}

// expectation completes and checks what the options say of replies.
func (p *plan) expectation() (expect, error) {
	if p.Expect == "" {
		p.Expect = "lines:1"
		if p.target.http {
			p.Expect = "status:2xx"
		}
	}
	e, err := parseExpect(p.Expect)
	if err != nil {
		return e, err
	}
	e.head = p.Method == bodiless
	if p.target.http && e.kind == wantRegex {
		e.kind, e.low, e.high = wantHTTP, 200, 299
		if e.head || p.Reply != "" {
			return e, errors.New("expect: a regex is for a body; HEAD has none, and a reply gives it already")
		}
	}
	if p.target.http != (e.kind == wantHTTP) && p.target.network != "" {
		if p.target.http {
			return e, fmt.Errorf("expect: an answer of http has a status; want status:200, status:2xx or regex:RE, not %q", cut(p.Expect, 40))
		}
		return e, errors.New("expect: only http has a status")
	}
	if p.Reply != "" {
		e.reply, e.checked = parseTemplate(p.Reply), true
		if e.kind != wantHTTP {
			e.kind = wantReply
		}
	}
	return e, nil
}

// complete gives echo and upper the request that they are about.
func (p *plan) complete() {
	if p.expect.kind != wantReply || p.expect.checked {
		return
	}
	p.expect.reply = p.request
	if p.Expect == "upper" {
		p.expect.reply = p.request.upper()
	}
}

// verdict is what is known of a reply so far.
type verdict int

const (
	more    verdict = iota // it is not whole
	right                  // it is whole, and as expected
	wrong                  // it is not what was expected
	another                // http: it is whole, with another status
)

// answer is the state of the reply that a connection is receiving.
type answer struct {
	begun bool   // its first byte has come
	left  int64  // lines or bytes
	want  []byte // what has not been seen of the expected reply
	room  []byte // where want was written
	line  []byte // as far as it has come
	http  reply
}

// begin prepares for the reply to the n-th request.
func (a *answer) begin(e *expect, n uint64) {
	a.begun = true
	a.left = e.n
	switch e.kind {
	case wantRegex:
		a.line = a.line[:0]
	case wantHTTP:
		a.http.reset(e.head)
		a.line = a.line[:0]
		if e.checked {
			a.expectText(&e.reply, n)
		}
	case wantReply:
		a.expectText(&e.reply, n)
	}
}

func (a *answer) expectText(t *template, n uint64) {
	if t.static {
		a.want = t.parts[0].text
		return
	}
	a.room = t.append(a.room[:0], n)
	a.want = a.room
}

// feed takes what has come and returns how much of it belongs to this reply.
func (a *answer) feed(e *expect, p []byte) (int, verdict) {
	switch e.kind {
	case wantLines:
		return a.lines(p)
	case wantBytes:
		n := min(a.left, int64(len(p)))
		if a.left -= n; a.left == 0 {
			return int(n), right
		}
		return int(n), more
	case wantReply:
		n := min(len(p), len(a.want))
		switch {
		case !a.matches(p[:n]):
			return len(p), wrong
		case len(a.want) == 0:
			return n, right
		}
		return n, more
	case wantRegex:
		n, line, whole, err := takeLine(&a.line, p, maxLine)
		switch {
		case err != nil, whole && !e.regex.Match(line):
			return n, wrong
		case whole:
			return n, right
		}
		return n, more
	}
	return a.response(e, p)
}

// matches takes a piece of the expected reply, and reports whether it is one.
func (a *answer) matches(p []byte) (ok bool) {
	a.want, ok = bytes.CutPrefix(a.want, p)
	return ok
}

func (a *answer) lines(p []byte) (int, verdict) {
	for n := 0; ; {
		i := bytes.IndexByte(p[n:], '\n')
		if i < 0 {
			return len(p), more
		}
		n += i + 1
		if a.left--; a.left == 0 {
			return n, right
		}
	}
}

func (a *answer) response(e *expect, p []byte) (int, verdict) {
	n := 0
	for {
		used, body, done, err := a.http.feed(p[n:])
		n += used
		if err != nil {
			return n, wrong
		}
		if len(body) > 0 && a.http.wanted(e) && !a.accept(e, body) {
			return n, wrong
		}
		if done {
			return n, a.judge(e)
		}
		if n == len(p) {
			return n, more
		}
	}
}

// accept takes a piece of a body, and reports whether it can be right.
func (a *answer) accept(e *expect, body []byte) bool {
	switch {
	case e.checked:
		return a.matches(body)
	case e.regex != nil:
		if len(a.line)+len(body) > maxLine {
			return false
		}
		a.line = append(a.line, body...)
	}
	return true
}

func (a *answer) judge(e *expect) verdict {
	switch {
	case !a.http.wanted(e):
		return another
	case e.checked && len(a.want) > 0 && !e.head, e.regex != nil && !e.regex.Match(withoutEnd(a.line)):
		return wrong
	}
	return right
}

// end judges a reply whose connection was closed: an answer of http may end in
// this way.
func (a *answer) end(e *expect) verdict {
	if e.kind == wantHTTP && a.begun && a.http.state == untilClose {
		return a.judge(e)
	}
	return more
}

// withoutEnd leaves out the end of the last line.
func withoutEnd(p []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(p, []byte("\n")), []byte("\r"))
}

// takeLine takes what of p belongs to a line, of which held has the part that came
// before. The line has no end. It fails if the line is longer than most.
func takeLine(held *[]byte, p []byte, most int) (n int, line []byte, whole bool, err error) {
	part, _, whole := bytes.Cut(p, []byte("\n"))
	if n = len(part); whole {
		n++
	}
	switch {
	case len(*held)+len(part) > most:
		return n, nil, whole, errReply
	case !whole || len(*held) > 0:
		*held = append(*held, part...)
		part = *held
	}
	return n, bytes.TrimSuffix(part, []byte("\r")), whole, nil
}
