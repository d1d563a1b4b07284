package load

import (
	"bytes"
	"fmt"
)

// message is one connection's line and the reply that it must get. Every line
// is another: it carries the connection's number and its own, so that a reply
// to another line is found out.
//
//	line-0012-000000345678-abcdefghijk…\n
//	     └ connection      └ filler
type message struct {
	line  []byte
	reply []byte
}

const (
	header   = "line-%04d-%012d-"
	sequence = len("line-0000-") // where the line's number begins
	digits   = 12
)

// newMessage returns the line number 0 of a connection.
func newMessage(connection, size int) message {
	var b bytes.Buffer
	fmt.Fprintf(&b, header, connection, 0)
	for i := 0; b.Len() < size-1; i++ {
		b.WriteByte('a' + byte(i%26))
	}
	line := append(b.Bytes()[:size-1:size-1], '\n')
	return message{line: line, reply: bytes.ToUpper(line)}
}

// next turns m into the connection's next line, without building it anew.
func (m *message) next() {
	for i := sequence + digits - 1; i >= sequence; i-- {
		d := m.line[i]
		if d++; d <= '9' {
			m.line[i], m.reply[i] = d, d
			return
		}
		m.line[i], m.reply[i] = '0', '0'
	}
}

// check compares what came with the reply, of which it is the beginning. It
// reports whether the reply is whole.
func (m *message) check(got []byte) (whole bool, err error) {
	switch {
	case len(got) > len(m.reply):
		return false, fmt.Errorf("long reply %q, want %q", got, m.reply)
	case !bytes.Equal(got, m.reply[:len(got)]):
		return false, fmt.Errorf("wrong reply %q, want %q", got, m.reply)
	}
	return len(got) == len(m.reply), nil
}
