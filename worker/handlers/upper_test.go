package handlers

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// script is a connection whose peer sends one chunk per read and then closes.
type script struct {
	chunks [][]byte
	out    bytes.Buffer
	reads  int // bytes
	writes int // calls
	fail   error
}

func say(chunks ...string) *script {
	s := &script{}
	for _, c := range chunks {
		s.chunks = append(s.chunks, []byte(c))
	}
	return s
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.chunks) == 0 {
		if s.fail != nil {
			return 0, s.fail
		}
		return 0, io.EOF
	}
	n := copy(p, s.chunks[0])
	if s.chunks[0] = s.chunks[0][n:]; len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	s.reads += n
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.writes++
	return s.out.Write(p)
}

func TestUpperAnswersEveryLine(t *testing.T) {
	for name, test := range map[string]struct {
		chunks []string
		want   string
	}{
		"nothing":                     {nil, ""},
		"one line":                    {[]string{"hello\n"}, "HELLO\n"},
		"a line in pieces":            {[]string{"he", "l", "lo\n"}, "HELLO\n"},
		"a line feed of its own":      {[]string{"hello", "\n"}, "HELLO\n"},
		"carriage returns are kept":   {[]string{"hello\r\n"}, "HELLO\r\n"},
		"empty lines":                 {[]string{"\n\n", "\n"}, "\n\n\n"},
		"a border inside a chunk":     {[]string{"one\ntw", "o\nthr", "ee\n"}, "ONE\nTWO\nTHREE\n"},
		"a last line without its end": {[]string{"one\ntwo"}, "ONE\nTWO"},
		"only a line without its end": {[]string{"two"}, "TWO"},
	} {
		t.Run(name, func(t *testing.T) {
			c := say(test.chunks...)
			if err := (upper{maxLine: 100}).serve(c); err != nil {
				t.Fatalf("serve: %v", err)
			}
			if got := c.out.String(); got != test.want {
				t.Errorf("answered %q, want %q", got, test.want)
			}
		})
	}
}

func TestUpperAnswersLinesThatCameTogetherInOneWrite(t *testing.T) {
	c := say("a\nb\nc\nd", "\ne\n")
	if err := (upper{maxLine: 100}).serve(c); err != nil {
		t.Fatal(err)
	}
	if c.writes != 2 || c.out.String() != "A\nB\nC\nD\nE\n" {
		t.Errorf("%d writes of %q, want 2: one a read", c.writes, c.out.String())
	}
}

func TestUpperChangesLettersOnly(t *testing.T) {
	var in, want []byte
	for b := range 256 {
		in = append(in, byte(b))
		if b >= 'a' && b <= 'z' {
			b -= 32
		}
		want = append(want, byte(b))
	}
	c := say(string(in), "grüße \xff\xfe\n")
	want = append(want, "GRüßE \xff\xfe\n"...)
	if err := (upper{maxLine: 1000}).serve(c); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.out.Bytes(), want) {
		t.Errorf("answered %q, want %q", c.out.Bytes(), want)
	}
}

func TestUpperRefusesALongLineAfterAnsweringThoseBefore(t *testing.T) {
	const refusal = "error: line longer than 10 bytes\n"
	for name, test := range map[string]struct {
		chunks  []string
		want    string
		refused bool
	}{
		"just fits":                     {[]string{"0123456789\n"}, "0123456789\n", false},
		"just fits, without its end":    {[]string{"0123456789"}, "0123456789", false},
		"one too many":                  {[]string{"0123456789x\n"}, refusal, true},
		"one too many, without its end": {[]string{"0123456789x"}, refusal, true},
		"one too many, in pieces":       {[]string{"01234", "56789", "x"}, refusal, true},
		"after others":                  {[]string{"a\nb\n0123456789x\nc\n"}, "A\nB\n" + refusal, true},
		"after others, in pieces":       {[]string{"a\nb\n01234", "56789x"}, "A\nB\n" + refusal, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := say(test.chunks...)
			err := (upper{maxLine: 10}).serve(c)
			if refused := err != nil; refused != test.refused {
				t.Errorf("serve: %v, want refused %v", err, test.refused)
			}
			if got := c.out.String(); got != test.want {
				t.Errorf("answered %q, want %q", got, test.want)
			}
		})
	}
}

// endless is a client that never sends a line feed.
type endless struct {
	script
	sent int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	e.sent += len(p)
	return len(p), nil
}

func TestUpperReadsLittleMoreOfAnEndlessLineThanItsLimit(t *testing.T) {
	const limit = 64 << 10
	client := &endless{}
	allocated := testing.AllocsPerRun(1, func() {
		client.sent = 0
		client.out.Reset()
		if err := (upper{maxLine: limit}).serve(client); err == nil {
			t.Error("an endless line was not refused")
		}
	})
	if client.sent > limit+upperBuffer {
		t.Errorf("read %d bytes of it, want at most %d", client.sent, limit+upperBuffer)
	}
	if want := "error: line longer than 65536 bytes\n"; client.out.String() != want {
		t.Errorf("answered %q, want %q", client.out.String(), want)
	}
	if allocated > 50 {
		t.Errorf("%v allocations for one line", allocated)
	}
}

func TestUpperReturnsWhatWentWrong(t *testing.T) {
	lost := errors.New("connection lost")
	c := say("one\ntwo")
	c.fail = lost
	if err := (upper{maxLine: 100}).serve(c); !errors.Is(err, lost) {
		t.Errorf("serve: %v, want %v", err, lost)
	}
	if got := c.out.String(); got != "ONE\n" {
		t.Errorf("answered %q: half a line of a lost connection is not a line", got)
	}
	if err := (upper{maxLine: 100}).serve(deaf{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("serve with a client that does not read: %v", err)
	}
}

type deaf struct{}

func (deaf) Read(p []byte) (int, error)  { return copy(p, "x\n"), nil }
func (deaf) Write(p []byte) (int, error) { return 0, io.ErrClosedPipe }

func TestUpperHoldsMemoryOnlyForAPartOfALine(t *testing.T) {
	const limit = 1 << 20
	c := &script{}
	u := upperLines{to: c, maxLine: limit}
	defer u.release()
	long := strings.Repeat("x", 100_000)
	for _, step := range []struct {
		what  string
		bytes string
		most  int
	}{
		{"a line", "short\n", 0},
		{"part of a line", "rest", smallRest},
		{"its end", "\n", 0},
		{"part of a long line", long, 2 * len(long)},
		{"its end and part of a short line", "\nrest", smallRest},
		{"more of it", strings.Repeat("y", smallRest), upperBuffer},
		{"its end and many lines", strings.Repeat("\n", upperBuffer), 0},
	} {
		if _, err := u.Write([]byte(step.bytes)); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if held := cap(u.buf); held > step.most {
			t.Errorf("after %s it holds %d bytes, want at most %d", step.what, held, step.most)
		}
	}
}

func TestUpperTakesTheBufferOfALongLineFromThePool(t *testing.T) {
	u := upperLines{to: io.Discard, maxLine: 64 << 10}
	defer u.release()
	for _, parts := range [][]int{{10_000}, {100, 10_000}, {smallRest, 1}, {10_000, upperBuffer - 10_000}} {
		for _, n := range parts {
			if _, err := u.Write(bytes.Repeat([]byte("x"), n)); err != nil {
				t.Fatal(err)
			}
		}
		if u.pooled == nil || &u.buf[0] != &u.pooled[0] {
			t.Errorf("a line in parts of %d bytes is not in a buffer from the pool", parts)
		}
		if _, err := u.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
		if u.pooled != nil {
			t.Errorf("the buffer was not given back after a line in parts of %d bytes", parts)
		}
	}
}

// FuzzUpper compares the answers with a simple reference: the input, split at line
// feeds.
func FuzzUpper(f *testing.F) {
	f.Add([]byte("one\ntwo\n\nthree"), uint16(0), uint16(10), uint16(3))
	f.Add([]byte("0123456789x\n"), uint16(0), uint16(10), uint16(1))
	f.Add([]byte("0123456789\n"), uint16(1000), uint16(5000), uint16(4096))
	f.Add([]byte("x"), uint16(10_000), uint16(9_999), uint16(777))
	f.Fuzz(func(t *testing.T, input []byte, again, limit, chunk uint16) {
		// Short inputs are repeated, because the fuzzer is slow with long ones.
		input = bytes.Repeat(input, min(int(again), 100_000/max(len(input), 1))+1)
		maxLine, step := int(limit)+1, int(chunk)+1
		want, refused := reference(input, maxLine)
		upperCase(want, want)

		c := &script{}
		u := upperLines{to: c, maxLine: maxLine}
		defer u.release()
		var err error
		for rest := input; len(rest) > 0 && err == nil; {
			n := min(step, len(rest))
			_, err = u.Write(rest[:n])
			rest = rest[n:]
			if most := max(upperBuffer, 2*(maxLine+step)); cap(u.buf) > most {
				t.Fatalf("holds %d bytes for lines of at most %d", cap(u.buf), maxLine)
			}
		}
		if err == nil {
			err = u.finish()
		}
		if errors.Is(err, errLineTooLong) != refused || !refused && err != nil {
			t.Fatalf("ended with %v, want refused %v", err, refused)
		}
		if !bytes.Equal(c.out.Bytes(), want) {
			t.Fatalf("got %q, want %q", c.out.Bytes(), want)
		}
	})
}

// reference returns the expected answer and whether the rest of input is refused.
func reference(input []byte, maxLine int) ([]byte, bool) {
	var out []byte
	for line := range bytes.Lines(input) {
		if len(bytes.TrimSuffix(line, []byte("\n"))) > maxLine {
			return out, true
		}
		out = append(out, line...)
	}
	return out, false
}
