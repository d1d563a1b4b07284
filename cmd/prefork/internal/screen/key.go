package screen

import "unicode/utf8"

// Key is a key that was pressed: a rune, or one of the constants below.
type Key rune

// The keys that are not runes, and the control characters that have a meaning.
const (
	KeyUp Key = -1 - iota
	KeyDown
	KeyLeft
	KeyRight
	KeyPageUp
	KeyPageDown
	KeyHome
	KeyEnd
	KeyOther // an unknown sequence

	KeyCtrlC  Key = 3
	KeyCtrlL  Key = 12
	KeyEnter  Key = 13
	KeyEscape Key = 27
)

// maxSequence bounds an escape sequence; a longer one is ignored.
const maxSequence = 32

// Decoder decodes what a terminal sends. Sequences may be split over reads. The
// zero value is ready; one goroutine uses it.
type Decoder struct{ rest []byte }

// Feed takes bytes and returns the keys that are complete.
func (d *Decoder) Feed(b []byte) []Key {
	d.rest = append(d.rest, b...)
	var keys []Key
	for len(d.rest) > 0 {
		k, n := decode(d.rest)
		if n == 0 {
			break
		}
		keys = append(keys, k)
		d.rest = d.rest[n:]
	}
	if len(d.rest) == 0 {
		d.rest = nil
	}
	return keys
}

// Begun says whether a sequence is begun and not complete.
func (d *Decoder) Begun() bool { return len(d.rest) > 0 }

// Flush ends a sequence of which no more came in time: ESC alone is a key.
func (d *Decoder) Flush() []Key {
	if len(d.rest) == 0 {
		return nil
	}
	k := KeyOther
	if len(d.rest) == 1 && d.rest[0] == byte(KeyEscape) {
		k = KeyEscape
	}
	d.rest = nil
	return []Key{k}
}

// decode reads one key and the number of its bytes, 0 if some are missing.
func decode(b []byte) (Key, int) {
	switch {
	case b[0] != byte(KeyEscape):
		if !utf8.FullRune(b) {
			return 0, 0
		}
		r, n := utf8.DecodeRune(b)
		return Key(r), n
	case len(b) == 1:
		return 0, 0
	case b[1] == '[':
		return decodeCSI(b)
	case b[1] == 'O':
		if len(b) == 2 {
			return 0, 0
		}
		return key(string(b[2:3])), 3
	}
	return KeyEscape, 1
}

// decodeCSI reads a control sequence: ESC [, parameters, intermediates, and a
// final byte (ECMA-48, 5.4).
func decodeCSI(b []byte) (Key, int) {
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case i == maxSequence:
			return KeyOther, i
		case c >= 0x20 && c <= 0x3f:
		case c == '~':
			return key(string(b[2:i])), i + 1
		case c >= 0x40 && c <= 0x7e:
			return key(string(c)), i + 1
		default: // no part of a sequence: it broke off
			return KeyOther, i
		}
	}
	return 0, 0
}

// key is the key of a sequence: by its final byte, whatever modifies it, or by the number
// before a final '~' (VT220).
func key(name string) Key {
	k, ok := map[string]Key{
		"A": KeyUp, "B": KeyDown, "C": KeyRight, "D": KeyLeft, "H": KeyHome, "F": KeyEnd,
		"1": KeyHome, "7": KeyHome, "4": KeyEnd, "8": KeyEnd, "5": KeyPageUp, "6": KeyPageDown,
	}[name]
	if !ok {
		return KeyOther
	}
	return k
}
