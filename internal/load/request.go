package load

import (
	"fmt"
	"strings"
)

// httpRequest builds the request: the line, the header and the body.
func (p *plan) httpRequest() []error {
	method := p.Method
	if method == "" {
		method = "GET"
		if len(p.Payload) > 0 {
			method = "POST"
		}
	}
	var errs []error
	if !isToken(method) {
		errs = append(errs, fmt.Errorf("method: %q is none", cut(method, 40)))
	}
	head := parseTemplate(method + " " + p.target.path + " HTTP/1.1\r\n")
	lines, err := p.headerLines()
	if err != nil {
		errs = append(errs, err)
	}
	head.parts = append(head.parts, piece{text: []byte(lines)})
	body := literal(p.Payload)
	if p.Template {
		body = parseTemplate(string(p.Payload))
	}
	if len(p.Payload) > 0 || method == "POST" || method == "PUT" || method == "PATCH" {
		head.parts = append(head.parts, piece{text: []byte("Content-Length: "), what: bodyLength, body: &body})
		head.parts = append(head.parts, piece{text: []byte("\r\n")})
	}
	head.parts = append(head.parts, piece{text: []byte("\r\n")})
	head.parts = append(head.parts, body.parts...)
	head.static = false
	p.request = head.joined()
	return errs
}

// headerLines returns what stands in the header but the length.
func (p *plan) headerLines() (string, error) {
	var b strings.Builder
	host := p.target.host
	var rest strings.Builder
	for _, h := range p.Header {
		name, value, found := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		switch {
		case !found, !isToken(name), strings.ContainsAny(value, "\r\n\x00"), len(h) > maxHeader:
			return "", fmt.Errorf("header: want \"Name: value\", not %q", cut(h, 40))
		case strings.EqualFold(name, "Content-Length"), strings.EqualFold(name, "Transfer-Encoding"):
			return "", fmt.Errorf("header: %s follows from the payload", name)
		case strings.EqualFold(name, "Host"):
			host = value
		default:
			fmt.Fprintf(&rest, "%s: %s\r\n", name, value)
		}
	}
	fmt.Fprintf(&b, "Host: %s\r\n%s", host, rest.String())
	if p.Mode == Churn {
		b.WriteString("Connection: close\r\n")
	}
	return b.String(), nil
}

// isToken reports whether s is a token of RFC 9110.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// joined returns the template with neighbouring texts as one.
func (t *template) joined() template {
	var j template
	var text []byte
	for _, p := range t.parts {
		text = append(text, p.text...)
		if p.what == bodyLength && p.body.static {
			text = appendNumber(text, uint64(p.body.length(0)), 0)
			continue
		}
		if p.what != nothing {
			j.parts = append(j.parts, piece{text: text, what: p.what, width: p.width, body: p.body})
			text = nil
		}
	}
	if len(text) > 0 || len(j.parts) == 0 {
		j.parts = append(j.parts, piece{text: text})
	}
	j.static = len(j.parts) == 1 && j.parts[0].what == nothing
	return j
}
