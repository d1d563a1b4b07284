package screen

import (
	"slices"
	"strings"
	"testing"
)

func TestKeysAreDecodedHoweverTheyArrive(t *testing.T) {
	for _, c := range []struct {
		sent string
		want []Key
	}{
		{"q", []Key{'q'}},
		{"rdy", []Key{'r', 'd', 'y'}},
		{"\x03\x0c\r ", []Key{KeyCtrlC, KeyCtrlL, KeyEnter, ' '}},
		{"é<世", []Key{'é', '<', '世'}},
		{"\x1b[A\x1b[B\x1b[C\x1b[D", []Key{KeyUp, KeyDown, KeyRight, KeyLeft}},
		{"\x1bOA\x1bOB\x1bOH\x1bOF", []Key{KeyUp, KeyDown, KeyHome, KeyEnd}},
		{"\x1b[5~\x1b[6~\x1b[1~\x1b[4~\x1b[7~\x1b[8~", []Key{KeyPageUp, KeyPageDown, KeyHome, KeyEnd, KeyHome, KeyEnd}},
		{"\x1b[1;5A", []Key{KeyUp}},                    // with Ctrl
		{"\x1b[3~\x1b[24~", []Key{KeyOther, KeyOther}}, // Delete, F12
		{"\x1b[<0;10;10M", []Key{KeyOther}},            // a mouse
		{"\x1b[\x03", []Key{KeyOther, KeyCtrlC}},
		{"\x1bq", []Key{KeyEscape, 'q'}},
		{"\x1b\x1b[A", []Key{KeyEscape, KeyUp}},
		{"\xff", []Key{'\uFFFD'}},
	} {
		var whole Decoder
		if got := whole.Feed([]byte(c.sent)); !slices.Equal(got, c.want) || whole.Begun() {
			t.Errorf("%q at once: %v, want %v", c.sent, got, c.want)
		}
		var split Decoder
		var got []Key
		for i := range len(c.sent) {
			got = append(got, split.Feed([]byte(c.sent[i:i+1]))...)
		}
		if !slices.Equal(got, c.want) || split.Begun() {
			t.Errorf("%q byte by byte: %v, want %v", c.sent, got, c.want)
		}
	}
}

func TestEscapeAloneIsAKeyAndAHalfSequenceIsNot(t *testing.T) {
	for sent, want := range map[string]Key{"\x1b": KeyEscape, "\x1b[": KeyOther, "\x1b[1;": KeyOther, "\x1bO": KeyOther, "\xe4": KeyOther} {
		var d Decoder
		if got := d.Feed([]byte(sent)); len(got) != 0 || !d.Begun() {
			t.Errorf("%q: %v at once, want to wait", sent, got)
		}
		if got := d.Flush(); !slices.Equal(got, []Key{want}) || d.Begun() {
			t.Errorf("%q: %v, want %v", sent, got, want)
		}
		if got := d.Flush(); got != nil {
			t.Errorf("%q: a second flush gives %v", sent, got)
		}
	}
}

func TestAnEndlessSequenceIsIgnored(t *testing.T) {
	var d Decoder
	d.Feed([]byte("\x1b[" + strings.Repeat("1;", 4096)))
	if len(d.rest) > maxSequence {
		t.Errorf("%d bytes are kept", len(d.rest))
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x1b[1;5Aq\x1bO"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, split Decoder
		want := whole.Feed(b)
		var got []Key
		for i := range b {
			got = append(got, split.Feed(b[i:i+1])...)
		}
		if !slices.Equal(got, want) || len(whole.rest) > maxSequence {
			t.Errorf("%q: %v at once, %v byte by byte, %d bytes kept", b, want, got, len(whole.rest))
		}
	})
}
