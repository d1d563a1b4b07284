package systemd

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What systemd accepts.
const (
	// MaxMessage bounds one notification in bytes: systemd reads PIPE_BUF of
	// them and ignores a longer message as a whole.
	MaxMessage = 4096

	// MaxFiles bounds the descriptors of one notification: SCM_MAX_FD of the
	// kernel.
	MaxFiles = 253

	// MaxStatus bounds a status text in bytes. The rest is cut, so that the
	// reason of a failure never costs the message that carries it.
	MaxStatus = 2048
)

// Field is one NAME=value line of a notification.
type Field struct {
	Name  string
	Value string
}

// String returns the line.
func (f Field) String() string { return f.Name + "=" + f.Value }

// EncodeMessage returns the datagram for fields, one line each and no newline
// at the end. It refuses what systemd would drop or misread: no fields, a name
// that is not of the form [A-Z_][A-Z0-9_]*, a value with a newline or a NUL or
// that is not UTF-8, and more than MaxMessage bytes.
func EncodeMessage(fields ...Field) ([]byte, error) {
	if len(fields) == 0 {
		return nil, errors.New("encode notification: no fields")
	}
	lines := make([]string, len(fields))
	for i, f := range fields {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("encode notification: %w", err)
		}
		lines[i] = f.String()
	}
	text := strings.Join(lines, "\n")
	if len(text) > MaxMessage {
		return nil, fmt.Errorf("encode notification: %d bytes, systemd ignores more than %d", len(text), MaxMessage)
	}
	return []byte(text), nil
}

func (f Field) check() error {
	if f.Name == "" {
		return errors.New("field without a name")
	}
	for i := range len(f.Name) {
		c := f.Name[i]
		if c != '_' && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return fmt.Errorf("field name %.80q: want capitals, digits and '_'", f.Name)
		}
	}
	if strings.ContainsAny(f.Value, "\n\x00") {
		return fmt.Errorf("field %s: value %.80q has a newline or a NUL", f.Name, f.Value)
	}
	if !utf8.ValidString(f.Value) {
		return fmt.Errorf("field %s: value %.80q is not UTF-8", f.Name, f.Value)
	}
	return nil
}

// statusField makes a field of any text. systemd shows a status on one line and
// drops one that is not UTF-8, so control characters become spaces, other bytes
// U+FFFD, and a long text ends in an ellipsis. Backslashes are doubled, because
// systemd reads them as escapes, even of the end of the line.
func statusField(text string) Field {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.ReplaceAll(text, `\`, `\\`)
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	const ellipsis = "…"
	if len(text) > MaxStatus {
		cut := MaxStatus - len(ellipsis)
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + ellipsis
	}
	return Field{"STATUS", text}
}
