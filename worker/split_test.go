package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// inPieces feeds input to Messages(split, ...) as the loop does: each piece comes
// behind what was not consumed. It returns the messages and the error.
func inPieces(t testing.TB, split bufio.SplitFunc, input []byte, cuts []byte) (got []string, err error) {
	t.Helper()
	h := Messages(split, func(_ *Conn, message []byte) error {
		got = append(got, string(message))
		return nil
	})
	var c Conn
	var kept []byte
	for rest, i := input, 0; ; i++ {
		n := len(rest)
		if i < len(cuts) {
			n = min(n, int(cuts[i]))
		}
		in := append(slices.Clone(kept), rest[:n]...)
		rest = rest[n:]
		eof := len(rest) == 0 && i >= len(cuts)
		used, err := h.Data(&c, in, eof)
		if used < 0 || used > len(in) {
			t.Fatalf("consumed %d bytes of %d", used, len(in))
		}
		if err != nil || eof {
			return got, err
		}
		kept = in[used:]
	}
}

// isSplit reports a difference between the result of splitting input and want.
func isSplit(t *testing.T, split bufio.SplitFunc, input string, want []string, wantErr error) {
	t.Helper()
	for _, cuts := range [][]byte{nil, bytes.Repeat([]byte{1}, len(input)), {3, 0, 1}} {
		got, err := inPieces(t, split, []byte(input), cuts)
		if !slices.Equal(got, want) || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Errorf("%.40q in pieces of %v: %q, %v; want %q, %v", input, cuts[:min(len(cuts), 3)], got, err, want, wantErr)
		}
	}
}

func TestSplitLinesReturnsLinesWithoutTheirEnds(t *testing.T) {
	for _, test := range []struct {
		input string
		want  []string
		err   error
	}{
		{"", nil, nil},
		{"a\nbc\n", []string{"a", "bc"}, nil},
		{"a\r\nb\n", []string{"a", "b"}, nil},
		{"\n\r\n\r\r\n", []string{"", "", "\r"}, nil},
		{"a\nlast", []string{"a", "last"}, nil},
		{"a\nlast\r", []string{"a", "last"}, nil},
		{"12345\n12345\r\n12345", []string{"12345", "12345", "12345"}, nil},
		{"a\n123456\nb\n", []string{"a"}, ErrMessageTooLong},
		{"12345\r\r\n", nil, ErrMessageTooLong},
		{"123456", nil, ErrMessageTooLong},
		{"1234567\n", nil, ErrMessageTooLong},
	} {
		isSplit(t, SplitLines(5), test.input, test.want, test.err)
	}
	isSplit(t, SplitLines(0), "\n\r\n", []string{"", ""}, nil)
	isSplit(t, SplitLines(math.MaxInt), "a\nb", []string{"a", "b"}, nil)
}

func TestSplitFramesReturnsWhatFollowsALength(t *testing.T) {
	for _, test := range []struct {
		header int
		order  binary.ByteOrder
		input  string
		want   []string
		err    error
	}{
		{1, binary.BigEndian, "\x02ab\x00\x01c", []string{"ab", "", "c"}, nil},
		{2, binary.BigEndian, "\x00\x02ab", []string{"ab"}, nil},
		{2, binary.LittleEndian, "\x02\x00ab", []string{"ab"}, nil},
		{4, binary.BigEndian, "\x00\x00\x00\x02ab", []string{"ab"}, nil},
		{4, binary.LittleEndian, "\x02\x00\x00\x00ab", []string{"ab"}, nil},
		{8, binary.BigEndian, "\x00\x00\x00\x00\x00\x00\x00\x02ab", []string{"ab"}, nil},
		{8, binary.LittleEndian, "\x02\x00\x00\x00\x00\x00\x00\x00ab", []string{"ab"}, nil},
		{2, binary.BigEndian, "", nil, nil},
		{2, binary.BigEndian, "\x00\x01a\x00", []string{"a"}, io.ErrUnexpectedEOF},
		{2, binary.BigEndian, "\x00\x01a\x00\x02b", []string{"a"}, io.ErrUnexpectedEOF},
		{1, binary.BigEndian, "\x05abcde\x06", []string{"abcde"}, ErrMessageTooLong},
		{2, binary.LittleEndian, "\x00\x05", nil, ErrMessageTooLong},
		{8, binary.BigEndian, "\xff\xff\xff\xff\xff\xff\xff\xff", nil, ErrMessageTooLong},
		{8, binary.BigEndian, "\x7f\xff\xff\xff\xff\xff\xff\xff", nil, ErrMessageTooLong},
	} {
		isSplit(t, SplitFrames(test.header, test.order, 5), test.input, test.want, test.err)
	}
	isSplit(t, SplitFrames(8, binary.BigEndian, math.MaxInt), "\x7f\xff\xff\xff\xff\xff\xff\xff", nil, ErrMessageTooLong)
}

// A client that announces a message over the limit must not make the worker wait for
// it, and keep its bytes.
func TestATooLongFrameIsRefusedBeforeItsBytesArrive(t *testing.T) {
	split := SplitFrames(4, binary.BigEndian, 1<<20)
	if _, _, err := split([]byte{0, 16, 0, 0}, false); err != nil {
		t.Errorf("a frame of the limit: %v", err)
	}
	_, _, err := split([]byte{0, 16, 0, 1}, false)
	if want := "message is too long: 1048577 bytes, 1048576 allowed"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSplitFunctionsRefuseSizesThatMakeNoSense(t *testing.T) {
	for name, f := range map[string]func(){
		"a header of 3 bytes": func() { SplitFrames(3, binary.BigEndian, 10) },
		"a negative frame":    func() { SplitFrames(4, binary.BigEndian, -1) },
		"a negative line":     func() { SplitLines(-1) },
	} {
		if err := catchPanic(func() error { f(); return nil }); err == nil {
			t.Errorf("%s: no panic", name)
		}
	}
}

// A Handler can use the same functions with a bufio.Scanner.
func TestAScannerSplitsAsMessagesDoes(t *testing.T) {
	s := bufio.NewScanner(strings.NewReader("\x00\x02ab\x00\x00\x00\x01c"))
	s.Split(SplitFrames(2, binary.BigEndian, 5))
	var got []string
	for s.Scan() {
		got = append(got, s.Text())
	}
	if want := []string{"ab", "", "c"}; s.Err() != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, s.Err(), want)
	}
}

func TestMessagesTakesTheSplitFunctionsOfBufio(t *testing.T) {
	isSplit(t, bufio.ScanWords, " one  two\nthree", []string{"one", "two", "three"}, nil)
	isSplit(t, bufio.ScanRunes, "aß", []string{"a", "ß"}, nil)
	isSplit(t, func(data []byte, _ bool) (int, []byte, error) {
		if len(data) == 0 {
			return 0, nil, nil
		}
		if data[0] == '.' {
			return 1, []byte("end"), bufio.ErrFinalToken
		}
		return 1, data[:1], nil
	}, "ab.cd", []string{"a", "b", "end"}, io.EOF)
}

func TestMessagesRefusesASplitFunctionThatDoesNotWork(t *testing.T) {
	for want, split := range map[error]bufio.SplitFunc{
		bufio.ErrNegativeAdvance: func([]byte, bool) (int, []byte, error) { return -1, nil, nil },
		bufio.ErrAdvanceTooFar:   func(data []byte, _ bool) (int, []byte, error) { return len(data) + 1, nil, nil },
		errSplitStuck:            func([]byte, bool) (int, []byte, error) { return 0, []byte{}, nil },
	} {
		if _, err := inPieces(t, split, []byte("abc"), nil); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestMessagesStopsAtTheErrorOfTheFunction(t *testing.T) {
	broken := errors.New("broken")
	var got []string
	h := Messages(SplitLines(10), func(_ *Conn, line []byte) error {
		got = append(got, string(line))
		if string(line) == "bad" {
			return broken
		}
		return nil
	})
	used, err := h.Data(new(Conn), []byte("a\nbad\nb\n"), false)
	if used != 6 || !errors.Is(err, broken) || !slices.Equal(got, []string{"a", "bad"}) {
		t.Errorf("consumed %d, %v, %q", used, err, got)
	}
}

// splitsTheSame fails if the pieces in which input arrives change its messages.
func splitsTheSame(t *testing.T, split bufio.SplitFunc, input, cuts []byte) ([]string, error) {
	whole, err := inPieces(t, split, input, nil)
	pieces, perr := inPieces(t, split, input, cuts)
	if !slices.Equal(whole, pieces) || fmt.Sprint(err) != fmt.Sprint(perr) {
		t.Fatalf("at once %q, %v; in pieces %q, %v", whole, err, pieces, perr)
	}
	return whole, err
}

func FuzzSplitLines(f *testing.F) {
	f.Add([]byte("one\r\ntwo\n\nthree"), []byte{1, 2, 1}, uint8(5))
	f.Add([]byte("123456\r\r\n"), []byte{6, 1}, uint8(6))
	f.Fuzz(func(t *testing.T, input, cuts []byte, longest uint8) {
		got, err := splitsTheSame(t, SplitLines(int(longest)), input, cuts)
		s := bufio.NewScanner(bytes.NewReader(input))
		s.Buffer(nil, len(input)+2)
		for i := 0; s.Scan(); i++ {
			tooLong := len(s.Text()) > int(longest)
			switch {
			case tooLong != (i == len(got)):
				t.Fatalf("line %d is %q, got %q, %v", i, s.Text(), got, err)
			case tooLong:
				if !errors.Is(err, ErrMessageTooLong) {
					t.Fatalf("a line of %d bytes: %v", len(s.Text()), err)
				}
				return
			case got[i] != s.Text():
				t.Fatalf("line %d is %q, want %q", i, got[i], s.Text())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzSplitFrames(f *testing.F) {
	f.Add([]byte("\x02ab\x00\x01c"), []byte{1, 2, 1}, uint8(0), false, uint16(5))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x02ab"), []byte{6, 1}, uint8(3), true, uint16(5))
	f.Fuzz(func(t *testing.T, input, cuts []byte, size uint8, big bool, longest uint16) {
		header := 1 << (size % 4)
		var order interface {
			binary.ByteOrder
			binary.AppendByteOrder
		} = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		got, err := splitsTheSame(t, SplitFrames(header, order, int(longest)), input, cuts)
		var again []byte // the frames of these messages
		for _, m := range got {
			if len(m) > int(longest) {
				t.Fatalf("a message of %d bytes, %d allowed", len(m), longest)
			}
			switch header {
			case 1:
				again = append(again, byte(len(m)))
			case 2:
				again = order.AppendUint16(again, uint16(len(m)))
			case 4:
				again = order.AppendUint32(again, uint32(len(m)))
			case 8:
				again = order.AppendUint64(again, uint64(len(m)))
			}
			again = append(again, m...)
		}
		if !bytes.HasPrefix(input, again) || (err == nil) != (len(again) == len(input)) {
			t.Fatalf("%q, %v out of %q", got, err, input)
		}
	})
}
