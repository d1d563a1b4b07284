package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// read returns the commands in input and the error at their end.
func read(input string) (all [][]string, err error) {
	r := newReader(bufio.NewReaderSize(strings.NewReader(input), readBuffer))
	for {
		args, err := r.next()
		if err != nil {
			return all, err
		}
		words := []string{}
		for _, a := range args {
			words = append(words, string(a))
		}
		all = append(all, words)
	}
}

func TestReaderUnderstandsBothForms(t *testing.T) {
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
		got, err := read(input)
		if !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", input, err)
		}
		if text := fmt.Sprintf("%q", got); text != want {
			t.Errorf("%q reads as %s, want %s", input, text, want)
		}
	}
}

func TestReaderReportsProtocolErrors(t *testing.T) {
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
		strings.Repeat("x", readBuffer+1):            "too big inline request",
		strings.Repeat("x ", maxArgs+1) + "\n":       "too many arguments",
	} {
		_, err := read(input)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", input, err, want)
		}
		var broken protocolError
		if wantBroken := want != "unexpected EOF"; errors.As(err, &broken) != wantBroken {
			t.Errorf("%.40q: %v is a protocol error: %v, want %v", input, err, !wantBroken, wantBroken)
		}
	}
}

func TestReaderLimitsTheSizeOfACommand(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", maxCommand/maxBulk+1)
	for range maxCommand/maxBulk + 1 {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", maxBulk, strings.Repeat("x", maxBulk))
	}
	if _, err := read(b.String()); err == nil || !strings.Contains(err.Error(), "invalid bulk length") {
		t.Errorf("a command over the limit: %v", err)
	}
}

func TestReaderAllocatesOnlyForReceivedBytes(t *testing.T) {
	r := newReader(bufio.NewReaderSize(strings.NewReader("*1\r\n$1048576\r\nabc"), readBuffer))
	if _, err := r.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if cap(r.buf) > 2*readBuffer {
		t.Errorf("a buffer of %d bytes for three bytes", cap(r.buf))
	}
	large := strings.Repeat("x", maxBulk)
	r = newReader(bufio.NewReaderSize(strings.NewReader("*1\r\n$1048576\r\n"+large+"\r\nPING\r\n"), readBuffer))
	if args, err := r.next(); err != nil || string(args[0]) != large {
		t.Fatalf("a bulk of the limit: %v", err)
	}
	if _, err := r.next(); err != nil || cap(r.buf) > keepBuffer {
		t.Errorf("%d bytes kept after a large command, %v", cap(r.buf), err)
	}
}

// FuzzReader checks that no input makes the reader panic or exceed its limits. A
// command that it has read must be the same after it is written and read again.
func FuzzReader(f *testing.F) {
	f.Add([]byte("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\r\n"))
	f.Add([]byte(`set "a\x41" 'b c'` + "\r\n*0\r\n"))
	f.Add([]byte("*1\r\n$1048576\r\nabc"))
	f.Fuzz(func(t *testing.T, input []byte) {
		r := newReader(bufio.NewReaderSize(bytes.NewReader(input), 64))
		for {
			args, err := r.next()
			if err != nil {
				if len(args) > 0 {
					t.Fatalf("arguments together with the error %v", err)
				}
				return
			}
			if len(args) > maxArgs || len(r.buf) > len(input) {
				t.Fatalf("%d arguments, %d bytes out of %d", len(args), len(r.buf), len(input))
			}
			var out bytes.Buffer
			w := replies{bufio.NewWriter(&out)}
			w.array(len(args))
			for _, a := range args {
				w.bulk(a)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			again, err := newReader(bufio.NewReader(&out)).next()
			if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", args) {
				t.Fatalf("%q was read back as %q, %v", args, again, err)
			}
		}
	})
}
