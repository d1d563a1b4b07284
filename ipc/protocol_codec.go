package ipc

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// envelope is what every datagram looks like: the type beside a body.
type envelope struct {
	Type Type            `json:"type"`
	Body json.RawMessage `json:"body,omitempty"`
}

// Encode returns the datagram for m. It fails with ErrTooLong if that would
// pass MaxMessage. The text of a Failed is cut to MaxText first, and what a
// Report says of the work at hand to MaxDoing: they must arrive, however much
// the worker has to say.
func Encode(m Message) ([]byte, error) {
	if m == nil || m.Type() == "" {
		return nil, errors.New("encode message: no type")
	}
	m = truncated(m)
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.Type(), err)
	}
	if s := string(body); s == "{}" || s == "null" {
		body = nil
	}
	data, err := json.Marshal(envelope{Type: m.Type(), Body: body})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.Type(), err)
	}
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("encode %s of %d bytes: %w", m.Type(), len(data), ErrTooLong)
	}
	return data, nil
}

// truncated returns m, or a copy of it whose text fits.
func truncated(m Message) Message {
	switch m := m.(type) {
	case *Failed:
		if m != nil && len(m.Message) > MaxText {
			return &Failed{Code: m.Code, Message: truncate(m.Message, MaxText)}
		}
	case *Report:
		if m != nil && len(m.Doing) > MaxDoing {
			short := *m
			short.Doing = truncate(m.Doing, MaxDoing)
			return &short
		}
	}
	return m
}

// Decode reads one datagram. Unknown fields are ignored and an unknown type
// yields *Unknown, so that two versions can talk; anything else that is not a
// message is a *ProtocolError. Decode keeps no reference to data, and cuts texts
// as Encode does, for the peer may have used something else.
func Decode(data []byte) (Message, error) {
	if len(data) > MaxMessage {
		return nil, &ProtocolError{Data: excerpt(data), Err: ErrTooLong}
	}
	if len(data) == 0 {
		return nil, &ProtocolError{Err: errors.New("empty")}
	}
	var env envelope
	err := json.Unmarshal(data, &env)
	if len(env.Type) > maxType {
		return nil, &ProtocolError{Data: excerpt(data), Err: errors.New("no such type")}
	}
	if err != nil {
		return nil, &ProtocolError{Type: env.Type, Data: excerpt(data), Err: err}
	}
	if env.Type == "" {
		return nil, &ProtocolError{Data: excerpt(data), Err: errors.New("no type")}
	}
	maker, ok := makers[env.Type]
	if !ok {
		return &Unknown{Name: env.Type}, nil
	}
	m := maker()
	if len(env.Body) > 0 {
		if err := json.Unmarshal(env.Body, m); err != nil {
			return nil, &ProtocolError{Type: env.Type, Data: excerpt(data), Err: err}
		}
	}
	return truncated(m), nil
}

// maxType bounds the name of a message, in bytes.
const maxType = 64

// truncate shortens s to at most limit bytes without splitting a character and
// marks that it did.
func truncate(s string, limit int) string {
	const mark = "…"
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// excerpt copies the first bytes of data, enough to recognise it in a log.
func excerpt(data []byte) []byte {
	return append([]byte(nil), data[:min(len(data), 64)]...)
}
