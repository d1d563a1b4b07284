package load

import (
	"fmt"
	"strings"
)

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
	lines, err := p.headerLines()
	if err != nil {
		errs = append(errs, err)
	}
	body := literal(p.Payload)
	if p.Template {
		body = parseTemplate(string(p.Payload))
	}
	parts := append(parseTemplate(method+" "+p.target.path+" HTTP/1.1\r\n").parts, piece{text: []byte(lines)})
	if len(p.Payload) > 0 || method == "POST" || method == "PUT" || method == "PATCH" {
		parts = append(parts, piece{text: []byte("Content-Length: "), body: &body}, piece{text: []byte("\r\n")})
	}
	p.request = newTemplate(append(append(parts, piece{text: []byte("\r\n")}), body.parts...)...)
	return errs
}

// headerLines returns what stands in the header but the length.
func (p *plan) headerLines() (string, error) {
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
	if p.Mode == Churn {
		rest.WriteString("Connection: close\r\n")
	}
	return "Host: " + host + "\r\n" + rest.String(), nil
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
