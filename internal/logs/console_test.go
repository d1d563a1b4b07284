package logs

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type pairField struct{ name string }

func (p pairField) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("name", p.name)
	enc.AddDuration("age", time.Second)
	return nil
}

type brokenField struct{}

func (brokenField) MarshalLogObject(zapcore.ObjectEncoder) error { return errors.New("broken") }

func (brokenField) MarshalLogArray(zapcore.ArrayEncoder) error { return errors.New("broken") }

func TestConsoleLinesReadAsPeopleWrite(t *testing.T) {
	clock := noonTime.Format("15:04:05.000")
	for _, test := range []struct {
		name string
		log  func(log *zap.Logger)
		want string
	}{
		{"no field", func(l *zap.Logger) { l.Debug("tick") }, "DEBUG tick"},
		{"a name", func(l *zap.Logger) { l.Named("control").Info("m") }, "INFO  control: m"},
		{"numbers", func(l *zap.Logger) { l.Info("m", zap.Int("slot", 2), zap.Uint64("n", math.MaxUint64)) }, "INFO  m  slot=2 n=18446744073709551615"},
		{"with", func(l *zap.Logger) { l.With(zap.Int8("a", 1)).With(zap.Int16("b", 2)).Warn("m", zap.Int32("c", 3)) }, "WARN  m  a=1 b=2 c=3"},
		{"strings", func(l *zap.Logger) {
			l.Error("m", zap.String("a", "é"), zap.String("b", "two words"), zap.String("c", ""))
		}, `ERROR m  a=é b="two words" c=""`},
		{"what needs quotes", func(l *zap.Logger) {
			l.Info("m", zap.String("a", `"`), zap.String("b", "x=y"), zap.String("c", "\x1b[2J"))
		}, `INFO  m  a="\"" b="x=y" c="\x1b[2J"`},
		{"an error", func(l *zap.Logger) { l.Info("m", zap.Error(errors.New("connection reset"))) }, `INFO  m  error="connection reset"`},
		{"durations", func(l *zap.Logger) { l.Info("m", zap.Duration("duration", 1234567*time.Nanosecond)) }, "INFO  m  duration=1.23ms"},
		{"floats", func(l *zap.Logger) { l.Info("m", zap.Float64("a", 0.5), zap.Float32("b", 0.1)) }, "INFO  m  a=0.5 b=0.1"},
		{"other kinds", func(l *zap.Logger) {
			l.Info("m", zap.Bool("a", true), zap.Binary("b", []byte{0xff}), zap.ByteString("c", []byte("x")),
				zap.Uint("d", 1), zap.Uint8("e", 2), zap.Uint16("f", 3), zap.Uint32("g", 4), zap.Uintptr("h", 5), zap.Int64("i", -6),
				zap.Complex128("j", 1i), zap.Complex64("k", 2i), zap.Time("l", noonTime))
		}, "INFO  m  a=true b=\"/w==\" c=x d=1 e=2 f=3 g=4 h=5 i=-6 j=(0+1i) k=(0+2i) l=2026-07-01T12:00:00.123456789Z"},
		{"an object", func(l *zap.Logger) { l.Info("m", zap.Object("listener", pairField{"main"}), zap.Int("a", 1)) }, "INFO  m  listener.age=1s listener.name=main a=1"},
		{"a namespace", func(l *zap.Logger) { l.With(zap.Namespace("x")).Info("m", zap.Int("a", 1)) }, "INFO  m  x.a=1"},
		{"arrays", func(l *zap.Logger) {
			l.Info("m", zap.Strings("a", []string{"b", "c"}), zap.Durations("d", []time.Duration{time.Second}), zap.Bools("e", nil))
		}, "INFO  m  a=[b,c] d=[1s] e=[]"},
		{"any value", func(l *zap.Logger) { l.Info("m", zap.Any("a", map[string]int{"b": 1}), zap.Any("c", nil)) }, `INFO  m  a="{\"b\":1}" c=null`},
		{"values that fail", func(l *zap.Logger) {
			l.Info("m", zap.Object("a", brokenField{}), zap.Array("b", brokenField{}), zap.Reflect("c", make(chan int)), zap.Int("d", 1))
		}, `INFO  m  aError=broken bError=broken cError="json: unsupported type: chan int" d=1`},
		{"several lines", func(l *zap.Logger) {
			l.Warn("worker exited", zap.Int("slot", 1), zap.String("evidence", "panic: x\n\tmain.go:7\n\nend\x1b\n"), zap.Int("pid", 2))
		}, "WARN  worker exited  slot=1 pid=2\n    evidence:\n    | panic: x\n    |     main.go:7\n    | \n    | end\\x1b"},
		{"a trailing newline", func(l *zap.Logger) { l.Info("m", zap.String("a", "b\n")) }, "INFO  m  a=b"},
		{"a message that forges", func(l *zap.Logger) { l.Info("a\nb\x1b") }, `INFO  a\nb\x1b`},
		{"a key that forges", func(l *zap.Logger) { l.Info("m", zap.Int("a\nb", 1)) }, `INFO  m  a\nb=1`},
		{"a stack", func(l *zap.Logger) {
			l = l.WithOptions(zap.WithFatalHook(zapcore.WriteThenPanic))
			entry := l.With(zap.Namespace("x")).Check(zapcore.InfoLevel, "m")
			entry.Stack = "a\nb"
			entry.Write(zap.Int("c", 1))
		}, "INFO  m  x.c=1\n    stack:\n    | a\n    | b"},
		{"beyond error", func(l *zap.Logger) { l.DPanic("m") }, "DPANIC m"},
	} {
		if got, want := lines(t, Console, test.log), clock+" "+test.want+"\n"; got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, want)
		}
	}
}

func TestConsoleColoursTheLevelTheKeysAndTheError(t *testing.T) {
	e := &console{colour: true}
	line, err := e.EncodeEntry(zapcore.Entry{Level: zapcore.WarnLevel, Time: noonTime, Message: "m"},
		[]zapcore.Field{zap.Int("slot", 2), zap.Error(errors.New("e"))})
	if err != nil {
		t.Fatal(err)
	}
	want := dim + "12:00:00.123" + reset + " " + yellow + "WARN " + reset + " m  " +
		dim + "slot=" + reset + "2 " + dim + "error=" + reset + red + "e" + reset + "\n"
	if line.String() != want {
		t.Errorf("got  %q\nwant %q", line, want)
	}
}

func TestClonesOfAConsoleEncoderDoNotShareFields(t *testing.T) {
	parent := &console{}
	parent.fields, parent.below = make([]byte, 0, 1000), make([]byte, 0, 1000)
	parent.addAll([]zap.Field{zap.Int("a", 1)})
	one := parent.clone([]zap.Field{zap.Int("b", 2), zap.String("c", "3\n4")})
	two := parent.clone([]zap.Field{zap.Int("d", 5), zap.String("e", "6\n7")})
	for _, test := range []struct {
		e    *console
		want string
	}{
		{parent, "m  a=1\n"},
		{one, "m  a=1 b=2\n    c:\n    | 3\n    | 4\n"},
		{two, "m  a=1 d=5\n    e:\n    | 6\n    | 7\n"},
	} {
		line, err := test.e.EncodeEntry(zapcore.Entry{Message: "m"}, nil)
		if err != nil || !strings.HasSuffix(line.String(), test.want) {
			t.Errorf("got %q, %v, want %q", line, err, test.want)
		}
	}
}

// FuzzConsole checks that no logged text can forge a line or control the
// terminal.
func FuzzConsole(f *testing.F) {
	f.Add("worker ready", "remote", "127.0.0.1:1")
	f.Add("a\nb", "c\x1b[2J", "d\r\ne\u202e\xff\n\n")
	f.Add("", "", "\n")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		e := &console{}
		line, err := e.EncodeEntry(zapcore.Entry{Time: noonTime, Message: message}, []zapcore.Field{zap.String(key, value)})
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(line.Bytes()) || !bytes.HasSuffix(line.Bytes(), []byte("\n")) {
			t.Fatalf("%q", line)
		}
		i := 0
		for text := range strings.Lines(line.String()) {
			text = strings.TrimSuffix(text, "\n")
			for _, r := range text {
				if !strconv.IsPrint(r) {
					t.Fatalf("%q has %q", text, r)
				}
			}
			if i > 0 && !strings.HasPrefix(text, "    ") || i == 0 && !strings.HasPrefix(text, "12:00:00.123 INFO  ") {
				t.Fatalf("line %d of %q is %q", i, line, text)
			}
			i++
		}
	})
}
