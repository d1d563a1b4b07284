package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// read returns the commands in input and the error at their end.
func read(t *testing.T, input string) (all [][]string, err error) {
	t.Helper()
	all, err = scan(strings.NewReader(input))
	pieces, perr := scan(iotest.OneByteReader(strings.NewReader(input)))
	if fmt.Sprint(pieces, perr) != fmt.Sprint(all, err) {
		t.Errorf("%.40q: at once %q, %v; byte by byte %q, %v", input, all, err, pieces, perr)
	}
	return all, err
}

// scan is read for one way in which the input arrives.
func scan(in io.Reader) (all [][]string, err error) {
	var p parser
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxMessage)
	s.Split(p.split)
	for s.Scan() {
		words := []string{}
		for _, a := range p.args {
			words = append(words, string(a))
		}
		all = append(all, words)
	}
	return all, s.Err()
}

func TestParserUnderstandsBothForms(t *testing.T) {
	for input, want := range map[string]string{
		"":                                       `[]`,
		"*1\r\n$4\r\nPING\r\n":                   `[["PING"]]`,
		"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n":         `[["ECHO" ""]]`,
		"*2\r\n$1\r\na\r\n$4\r\n\r\n\x00 \r\n":   `[["a" "\r\n\x00 "]]`,
		"*0\r\n*-1\r\nPING\r\n":                  `[[] [] ["PING"]]`,
		"PING\n":                                 `[["PING"]]`,
		"  set\ta  b \r\n\r\n":                   `[["set" "a" "b"] []]`,
		`set "a b" 'c d'` + "\n":                 `[["set" "a b" "c d"]]`,
		`echo "\x41\n\r\t\b\a\"\\\q\xzz"` + "\n": `[["echo" "A\n\r\t\b\a\"\\qxzz"]]`,
		`echo 'it\'s \n' ''` + "\n":              `[["echo" "it's \\n" ""]]`,
	} {
		got, err := read(t, input)
		if err != nil {
			t.Errorf("%q: %v", input, err)
		}
		if text := fmt.Sprintf("%q", got); text != want {
			t.Errorf("%q reads as %s, want %s", input, text, want)
		}
	}
}

func TestParserReportsProtocolErrors(t *testing.T) {
	for input, want := range map[string]string{
		"*x\r\n":                                "invalid multibulk length",
		"*+1\r\n":                               "invalid multibulk length",
		"*\r\n":                                 "invalid multibulk length",
		"*1\n":                                  "invalid multibulk length",
		"*1025\r\n":                             "invalid multibulk length",
		"*99999999999999999999\r\n":             "invalid multibulk length",
		"*1":                                    "unexpected EOF",
		"*" + strings.Repeat("1", 20000):        "too big mbulk count string",
		"*" + strings.Repeat("1", 100) + "\r\n": "too big mbulk count string",
		"*1\r\n:1\r\n":                          "expected '$', got ':'",
		"*1\r\n$-1\r\n":                         "invalid bulk length",
		"*1\r\n$1048577\r\n":                    "invalid bulk length",
		"*1\r\n$x\r\n":                          "invalid bulk length",
		"*1\r\n$" + strings.Repeat("1", 50) + "\r\n": "too big bulk count string",
		"*1\r\n$1\r\nab\r\n":                         "expected CRLF",
		"*1\r\n$4\r\nPI":                             "unexpected EOF",
		"*1\r\n$4\r\nPING":                           "unexpected EOF",
		"*2\r\n$4\r\nPING\r\n":                       "unexpected EOF",
		"PING":                                       "unexpected EOF",
		`echo "a` + "\n":                             "unbalanced quotes",
		`echo "a"b` + "\n":                           "unbalanced quotes",
		`echo 'a` + "\n":                             "unbalanced quotes",
		`echo "a\` + "\n":                            "unbalanced quotes",
		strings.Repeat("x", maxInline):               "too big inline request",
		strings.Repeat("x ", maxArgs+1) + "\n":       "too many arguments",
	} {
		_, err := read(t, input)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", input, err, want)
		}
		var broken protocolError
		if wantBroken := want != "unexpected EOF"; errors.As(err, &broken) != wantBroken {
			t.Errorf("%.40q: %v is a protocol error: %v, want %v", input, err, !wantBroken, wantBroken)
		}
	}
}

func TestParserLimitsTheSizeOfACommand(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", maxCommand/maxBulk+1)
	for range maxCommand/maxBulk + 1 {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", maxBulk, strings.Repeat("x", maxBulk))
	}
	if _, err := scan(strings.NewReader(b.String())); err == nil || !strings.Contains(err.Error(), "invalid bulk length") {
		t.Errorf("a command over the limit: %v", err)
	}
}

// A command that arrives in many pieces is looked at again with each of them.
func TestParserCopiesNoArgument(t *testing.T) {
	p := parser{args: make([][]byte, 0, 1)}
	command := []byte("*1\r\n$1048576\r\n" + strings.Repeat("x", maxBulk) + "\r\n")
	if n := testing.AllocsPerRun(10, func() { _, _, _ = p.split(command[:maxBulk], false) }); n > 0 {
		t.Errorf("%v allocations for a part of a command", n)
	}
	if size, _, err := p.split(command, false); size != len(command) || err != nil || &p.args[0][0] != &command[len("*1\r\n$1048576\r\n")] {
		t.Errorf("a command of %d bytes: %d, %v", len(command), size, err)
	}
}

func TestRepliesKeepNoLargeBuffer(t *testing.T) {
	var r replies
	r.bulk(make([]byte, maxBulk))
	if err := r.send(io.Discard); err != nil || cap(r.buf) > keepBuffer {
		t.Errorf("%d bytes kept after a large reply, %v", cap(r.buf), err)
	}
}

// FuzzParser checks that no input makes the parser panic or exceed its limits. A
// command that it has read must be the same after it is written and read again.
func FuzzParser(f *testing.F) {
	f.Add([]byte("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n"))
	f.Add([]byte(`set "a\x41" 'b c'` + "\r\n*0\r\n"))
	f.Add([]byte("*1\r\n$1048576\r\nabc"))
	f.Fuzz(func(t *testing.T, input []byte) {
		all, err := scan(bytes.NewReader(input))
		pieces, perr := scan(iotest.HalfReader(bytes.NewReader(input)))
		if fmt.Sprintf("%q %v", all, err) != fmt.Sprintf("%q %v", pieces, perr) {
			t.Fatalf("at once %q, %v; in pieces %q, %v", all, err, pieces, perr)
		}
		for _, args := range all {
			var r replies
			r.array(len(args))
			for _, a := range args {
				r.bulk([]byte(a))
			}
			again, err := scan(bytes.NewReader(r.buf))
			if err != nil || len(args) > maxArgs || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", [][]string{args}) {
				t.Fatalf("%q was read back as %q, %v", args, again, err)
			}
		}
	})
}
