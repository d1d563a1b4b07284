package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// envelope is a datagram.
type envelope struct {
	Type Type            `json:"type"`
	Body json.RawMessage `json:"body,omitempty"`
}

// Encode returns the datagram for m, or ErrTooLong if it is over MaxMessage. It
// cuts Failed.Message and Forked.Error to MaxText.
func Encode(m Message) ([]byte, error) {
	if m == nil || m.Type() == "" {
		return nil, errors.New("encode message: no type")
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.Type(), err)
	}
	data := encodePlain(m)
	if data == nil {
		var err error
		if data, err = encodeJSON(truncated(m)); err != nil {
			return nil, fmt.Errorf("encode %s: %w", m.Type(), err)
		}
	}
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("encode %s of %d bytes: %w", m.Type(), len(data), ErrTooLong)
	}
	return data, nil
}

func encodeJSON(m Message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if s := string(body); s == "{}" || s == "null" {
		body = nil
	}
	return json.Marshal(envelope{Type: m.Type(), Body: body})
}

// truncated returns m, or a copy whose text is not too long.
func truncated(m Message) Message {
	switch m := m.(type) {
	case *Failed:
		if m != nil && len(m.Message) > MaxText {
			return &Failed{Code: m.Code, Message: truncate(m.Message, MaxText)}
		}
	case *Forked:
		if m != nil && len(m.Error) > MaxText {
			short := *m
			short.Error = truncate(m.Error, MaxText)
			return &short
		}
	}
	return m
}

// Decode reads one datagram. It ignores unknown fields and returns *Unknown for an
// unknown type; anything else that is no message is a *ProtocolError. It cuts texts
// as Encode does, because the peer may not have. It keeps no reference to data.
func Decode(data []byte) (Message, error) {
	if len(data) > MaxMessage {
		return nil, &ProtocolError{Data: excerpt(data), Err: ErrTooLong}
	}
	if len(data) == 0 {
		return nil, &ProtocolError{Err: errors.New("empty")}
	}
	if m := decodePlain(data); m != nil {
		return m, nil
	}
	return decodeJSON(data)
}

func decodeJSON(data []byte) (Message, error) {
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
	if err := check(m); err != nil {
		return nil, &ProtocolError{Type: env.Type, Data: excerpt(data), Err: err}
	}
	return truncated(m), nil
}

// check returns an error if a list of m is longer than the protocol allows.
func check(m Message) error {
	if m, ok := m.(*Forked); ok && m != nil && len(m.Stillborn) > MaxStillborn {
		return fmt.Errorf("%d processes in stillborn, want at most %d", len(m.Stillborn), MaxStillborn)
	}
	return nil
}

// maxType is the longest name of a message, in bytes.
const maxType = 64

// truncate shortens s to at most limit bytes, with an ellipsis, and splits no
// character.
func truncate(s string, limit int) string {
	const mark = "…"
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// excerpt copies the beginning of data, for a log.
func excerpt(data []byte) []byte {
	return bytes.Clone(data[:min(len(data), 64)])
}
