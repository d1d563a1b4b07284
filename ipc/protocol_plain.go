package ipc

import (
	"strconv"

	"prefork/internal/plainjson"
)

// A worker of mode forking sends and receives six messages in its life, and the
// zygote that made it two. They are
// written and read here without reflection; for all others, and for whatever is
// unusual in them, there is encoding/json. The bytes are the same.

// encodePlain appends the datagram for m, or returns nil.
func encodePlain(m Message) []byte {
	b := make([]byte, 0, 192)
	b = append(append(append(b, `{"type":"`...), m.Type()...), '"')
	switch m := m.(type) {
	case *Ready, *Resume, *LameDuck, *Stop, *Dump:
	case *Drained:
		if m != nil && m.Cut != 0 {
			b = strconv.AppendInt(append(b, `,"body":{"cut":`...), int64(m.Cut), 10)
			b = append(b, '}')
		}
	case *Report:
		if m != nil && m.State != "" {
			if !isPlain(m.State) {
				return nil
			}
			b = append(append(append(b, `,"body":{"state":"`...), m.State...), `"}`...)
		}
	case *Hello:
		if m == nil || m.Slot != 0 || m.Slots != 0 || m.Generation != 0 || len(m.Listeners) > 0 || len(m.Config) > 0 ||
			m.LogLevel != "" || m.LogFormat != "" || !isPlain(m.Build) {
			return nil // the master's
		}
		b = strconv.AppendInt(append(b, `,"body":{"protocol":`...), int64(m.Protocol), 10)
		b = append(append(append(b, `,"build":"`...), m.Build...), `","pid":`...)
		b = append(strconv.AppendInt(b, int64(m.PID), 10), '}')
	case *Fork:
		if m == nil || !isPlain(m.LogLevel) {
			return nil
		}
		b = m.appendPlain(b)
	case *Forked:
		if m == nil || len(m.Error) > MaxText || !isPlain(m.Error) {
			return nil
		}
		b = m.appendPlain(b)
	default:
		return nil
	}
	return append(b, '}')
}

func (m *Fork) appendPlain(b []byte) []byte {
	b = strconv.AppendUint(append(b, `,"body":{"id":`...), m.ID, 10)
	if m.Slot != 0 {
		b = strconv.AppendInt(append(b, `,"slot":`...), int64(m.Slot), 10)
	}
	if m.LogLevel != "" {
		b = append(append(append(b, `,"log_level":"`...), m.LogLevel...), '"')
	}
	return append(b, '}')
}

func (m *Forked) appendPlain(b []byte) []byte {
	b = strconv.AppendUint(append(b, `,"body":{"id":`...), m.ID, 10)
	if m.PID != 0 {
		b = strconv.AppendInt(append(b, `,"pid":`...), int64(m.PID), 10)
	}
	for i, pid := range m.Stillborn {
		if i == 0 {
			b = append(b, `,"stillborn":[`...)
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(pid), 10)
	}
	if len(m.Stillborn) > 0 {
		b = append(b, ']')
	}
	if m.Error != "" {
		b = append(append(append(b, `,"error":"`...), m.Error...), '"')
	}
	return append(b, '}')
}

// isPlain reports whether encoding/json writes s as it is.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// decodePlain reads a datagram, or returns nil.
func decodePlain(data []byte) Message {
	var name Type
	var body plainjson.Value
	ok := plainjson.Object(data, func(key string, v plainjson.Value) bool {
		switch key {
		case "type":
			return plainjson.String(v, &name)
		case "body":
			first := body == nil
			body = v
			return first
		}
		return false
	})
	if !ok {
		return nil
	}
	m, read := plainMessage(name)
	if m == nil || body != nil && !plainjson.Object(body, read) {
		return nil
	}
	return m
}

// plainMessage returns an empty message, and the function that reads its fields.
func plainMessage(name Type) (Message, func(key string, v plainjson.Value) bool) {
	none := func(string, plainjson.Value) bool { return false }
	switch name {
	case TypeReady:
		return new(Ready), none
	case TypeResume:
		return new(Resume), none
	case TypeStop:
		return new(Stop), none
	case TypeDrained:
		m := new(Drained)
		return m, func(key string, v plainjson.Value) bool { return key == "cut" && plainjson.Int(v, &m.Cut) }
	case TypeReport:
		m := new(Report)
		return m, func(key string, v plainjson.Value) bool { return key == "state" && plainjson.String(v, &m.State) }
	case TypeHello:
		m := new(Hello)
		return m, m.readPlain
	case TypeFork:
		m := new(Fork)
		return m, m.readPlain
	case TypeForked:
		m := new(Forked)
		return m, m.readPlain
	}
	return nil, nil
}

func (m *Fork) readPlain(key string, v plainjson.Value) bool {
	switch key {
	case "id":
		return readID(v, &m.ID)
	case "slot":
		return plainjson.Int(v, &m.Slot)
	case "log_level":
		return plainjson.String(v, &m.LogLevel)
	}
	return false
}

func (m *Forked) readPlain(key string, v plainjson.Value) bool {
	switch key {
	case "id":
		return readID(v, &m.ID)
	case "pid":
		return plainjson.Int(v, &m.PID)
	case "stillborn":
		if m.Stillborn != nil {
			return false
		}
		m.Stillborn = []int{}
		return v.Array(func(v plainjson.Value) bool {
			m.Stillborn = append(m.Stillborn, 0)
			return len(m.Stillborn) <= MaxStillborn && plainjson.Int(v, &m.Stillborn[len(m.Stillborn)-1])
		})
	case "error":
		return plainjson.String(v, &m.Error) && len(m.Error) <= MaxText
	}
	return false
}

// readID reads a number that is not negative. Those above 18 digits are for
// encoding/json.
func readID(v plainjson.Value, to *uint64) bool {
	var n int64
	if !plainjson.Int(v, &n) || n < 0 {
		return false
	}
	*to = uint64(n)
	return true
}

func (h *Hello) readPlain(key string, v plainjson.Value) bool {
	switch key {
	case "protocol":
		return plainjson.Int(v, &h.Protocol)
	case "build":
		return plainjson.String(v, &h.Build)
	case "pid":
		return plainjson.Int(v, &h.PID)
	case "slot":
		return plainjson.Int(v, &h.Slot)
	case "slots":
		return plainjson.Int(v, &h.Slots)
	case "generation":
		return plainjson.Int(v, &h.Generation)
	case "config":
		return v.Raw(&h.Config)
	case "log_level":
		return plainjson.String(v, &h.LogLevel)
	case "log_format":
		return plainjson.String(v, &h.LogFormat)
	case "listeners":
		if h.Listeners != nil {
			return false
		}
		h.Listeners = []Listener{}
		return v.Array(func(v plainjson.Value) bool {
			h.Listeners = append(h.Listeners, Listener{})
			l := &h.Listeners[len(h.Listeners)-1]
			return plainjson.Object(v, l.readPlain)
		})
	}
	return false
}

func (l *Listener) readPlain(key string, v plainjson.Value) bool {
	switch key {
	case "name":
		return plainjson.String(v, &l.Name)
	case "network":
		return plainjson.String(v, &l.Network)
	case "address":
		return plainjson.String(v, &l.Address)
	}
	return false
}
