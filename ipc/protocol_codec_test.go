package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// examples has a message of every type, with every field set.
var examples = []Message{
	&Hello{
		Protocol: ProtocolVersion, Build: "1.2.3", PID: 42, Slot: 3, Slots: 24, Generation: 7,
		Listeners: []Listener{
			{Name: "main", Network: "tcp", Address: "127.0.0.1:9999"},
			{Name: "local", Network: "unix", Address: "/run/x.sock"},
		},
		Config:   json.RawMessage(`{"mode":"threading"}`),
		LogLevel: "info", LogFormat: "json",
	},
	&Ready{},
	&Failed{Code: 78, Message: "no such handler: \"uper\"\nvalid: upper, echo <&>"},
	&Report{State: StateBusy},
	&Drained{Cut: 2},
	&Ack{Order: 4},
	&Drain{Hold: true, TimeoutMS: 30_000, GraceMS: 250, Own: []string{"main"}},
	&Resume{},
	&LameDuck{},
	&Stop{},
	&Dump{},
	&LogLevel{Order: 1, Level: "debug"},
	&Reopen{Order: 2},
	&AccessLog{Order: 3},
	&Fork{ID: 9, Slot: 5, LogLevel: "info"},
	&Forked{ID: 9, PID: 4711, Stillborn: []int{4709, 4710}, Error: "no memory"},
}

func TestEveryMessageSurvivesTheRoundTrip(t *testing.T) {
	seen := map[Type]bool{}
	for _, want := range examples {
		seen[want.Type()] = true
		data, err := Encode(want)
		if err != nil {
			t.Errorf("encode %s: %v", want.Type(), err)
			continue
		}
		got, err := Decode(data)
		if err != nil {
			t.Errorf("decode %s: %v", data, err)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is decoded as %#v, want %#v", data, got, want)
		}
	}
	for typ, maker := range makers {
		if !seen[typ] {
			t.Errorf("no example of %s", typ)
		}
		if got := maker().Type(); got != typ {
			t.Errorf("%s decodes into a %s", typ, got)
		}
	}
}

func TestExamplesLeaveNoFieldEmpty(t *testing.T) {
	for _, m := range examples {
		v := reflect.ValueOf(m).Elem()
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("the example of %s does not test %s", m.Type(), v.Type().Field(i).Name)
			}
		}
	}
}

// The bytes are a contract between builds. A change that an old peer would
// misunderstand needs a new ProtocolVersion.
func TestTheWireFormatIsFixed(t *testing.T) {
	for _, test := range []struct {
		m    Message
		want string
	}{
		{&Hello{Protocol: 1, Build: "b", PID: 9}, `{"type":"hello","body":{"protocol":1,"build":"b","pid":9}}`},
		{&Ready{}, `{"type":"ready"}`},
		{&Failed{Code: 78, Message: "m"}, `{"type":"failed","body":{"code":78,"message":"m"}}`},
		{&Report{}, `{"type":"report"}`},
		{&Drained{}, `{"type":"drained"}`},
		{
			&Drain{Hold: true, TimeoutMS: 1, GraceMS: 2, Own: []string{"a"}},
			`{"type":"drain","body":{"hold":true,"timeout_ms":1,"grace_ms":2,"own":["a"]}}`,
		},
		{&LogLevel{Level: "debug"}, `{"type":"log_level","body":{"level":"debug"}}`},
		{&AccessLog{}, `{"type":"access_log"}`},
		{&Reopen{Order: 3}, `{"type":"reopen","body":{"order":3}}`},
		{&Ack{Order: 3}, `{"type":"ack","body":{"order":3}}`},
		{&Fork{ID: 1 << 63, LogLevel: "info"}, `{"type":"fork","body":{"id":9223372036854775808,"log_level":"info"}}`},
		{&Forked{ID: 7, PID: 9, Stillborn: []int{8}}, `{"type":"forked","body":{"id":7,"pid":9,"stillborn":[8]}}`},
		{&Unknown{Name: "future"}, `{"type":"future"}`},
		{(*Report)(nil), `{"type":"report"}`},
	} {
		got, err := Encode(test.m)
		if err != nil || string(got) != test.want {
			t.Errorf("%#v is encoded as %s (%v), want %s", test.m, got, err, test.want)
		}
	}
}

func TestUnknownTypesAndFieldsAreIgnored(t *testing.T) {
	got, err := Decode([]byte(`{"type":"adopt","body":{"state":"x"},"trace":7}`))
	if want := (&Unknown{Name: "adopt"}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v, want %#v", got, err, want)
	}
	got, err = Decode([]byte(`{"type":"drained","body":{"cut":1,"more":{"a":[1]}},"trace":7}`))
	if want := (&Drained{Cut: 1}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v, want %#v", got, err, want)
	}
	got, err = Decode([]byte(`{"type":"drained","body":null}`))
	if want := (&Drained{}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v, want %#v", got, err, want)
	}
}

func TestATextOfAnyLengthIsCut(t *testing.T) {
	long := strings.Repeat("x", MaxMessage/2)
	m, err := Decode([]byte(`{"type":"failed","body":{"message":"` + long + `"}}`))
	if f, ok := m.(*Failed); err != nil || !ok || len(f.Message) > MaxText {
		t.Errorf("failed is decoded as %T, %v; want a short one", m, err)
	}
	if m, err := Decode([]byte(`{"type":"` + long + `"}`)); err == nil || len(err.Error()) > 1000 {
		t.Errorf("a long type is decoded as %T and an error of %d bytes", m, len(err.Error()))
	}
}

// bad has invalid datagrams and the text that the error must contain.
var bad = []struct{ name, data, want string }{
	{"empty", "", "empty"},
	{"garbage", "\x00\xff\x17garbage", `\x17garbage`},
	{"truncated", `{"type":"drained","body":{"cu`, "unexpected end"},
	{"two in one", `{"type":"ready"}{"type":"ready"}`, "after top-level value"},
	{"no object", `[1,2]`, "array"},
	{"null", `null`, "no type"},
	{"no type", `{"body":{}}`, "no type"},
	{"type of a wrong kind", `{"type":7}`, "number"},
	{"body of a wrong kind", `{"type":"hello","body":[1]}`, "bad hello message"},
	{"field of a wrong kind", `{"type":"report","body":{"state":7}}`, "bad report message"},
	{"number out of range", `{"type":"drained","body":{"cut":1e99}}`, "cut"},
	{"too many processes", `{"type":"forked","body":{"id":1,"stillborn":[0` + strings.Repeat(",0", MaxStillborn) + `]}}`, "stillborn"},
	{"negative number of a fork", `{"type":"fork","body":{"id":-1}}`, "bad fork message"},
	{"too deep", `{"type":` + strings.Repeat(`[`, 20_000), "max depth"},
	{"too long", `{"type":"ready","body":"` + strings.Repeat("x", MaxMessage) + `"}`, "too long"},
}

func TestInvalidDatagramsAreProtocolErrors(t *testing.T) {
	for _, test := range bad {
		m, err := Decode([]byte(test.data))
		var perr *ProtocolError
		if m != nil || !errors.As(err, &perr) {
			t.Errorf("%s: decoded to %#v, %v, want a *ProtocolError", test.name, m, err)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %q does not name %q", test.name, err, test.want)
		}
		if !bytes.HasPrefix([]byte(test.data), perr.Data) || len(perr.Data) > 64 {
			t.Errorf("%s: shows %q", test.name, perr.Data)
		}
		if perr.Unwrap() == nil {
			t.Errorf("%s: has no cause", test.name)
		}
	}
}

func TestDecodeKeepsNoReferenceToItsInput(t *testing.T) {
	data := []byte(`{"type":"hello","body":{"build":"abc","config":{"mode":"forking"}}}`)
	m, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Decode([]byte(`garbage`))
	for i := range data {
		data[i] = 'x'
	}
	if h := m.(*Hello); h.Build != "abc" || string(h.Config) != `{"mode":"forking"}` {
		t.Errorf("the message changed with its input: %#v", h)
	}
	if err.Error() == "" {
		t.Error("the error has no text")
	}
}

func TestEncodeRefusesWhatCannotBeSent(t *testing.T) {
	if _, err := Encode(nil); err == nil {
		t.Error("encoded nil")
	}
	if _, err := Encode(&Unknown{}); err == nil {
		t.Error("encoded a message without a type")
	}
	if _, err := Encode(&Hello{Config: json.RawMessage(`{`)}); err == nil {
		t.Error("encoded a broken configuration")
	}
	if _, err := Encode(&Forked{Stillborn: make([]int, MaxStillborn+1)}); err == nil {
		t.Error("encoded more processes than the peer reads")
	}
	_, err := Encode(&LogLevel{Level: strings.Repeat("x", MaxMessage)})
	if !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), "log_level") {
		t.Errorf("oversize: %v, want ErrTooLong of log_level", err)
	}
}

func TestALongReasonIsCutAndArrives(t *testing.T) {
	for _, unit := range []string{"x", "é", "\x00", "\xff", "<"} {
		sent := &Failed{Code: 1, Message: strings.Repeat(unit, MaxMessage)}
		data, err := Encode(sent)
		if err != nil {
			t.Errorf("%q repeated: %v", unit, err)
			continue
		}
		m, err := Decode(data)
		if err != nil {
			t.Errorf("%q repeated: %v", unit, err)
			continue
		}
		got := m.(*Failed).Message
		if !strings.HasSuffix(got, "…") || !utf8.ValidString(got) || len(got) < MaxText/2 {
			t.Errorf("%q repeated: arrived as %d bytes", unit, len(got))
		}
		if utf8.ValidString(unit) && strings.ReplaceAll(got, unit, "") != "…" {
			t.Errorf("%q repeated: a character was split: %q", unit, got[len(got)-12:])
		}
		if len(sent.Message) != MaxMessage*len(unit) {
			t.Errorf("%q repeated: the sender's message was changed", unit)
		}
	}
	whole := strings.Repeat("x", MaxText)
	for _, m := range []Message{&Failed{Message: whole}, &Forked{Error: whole}} {
		data, err := Encode(m)
		if err != nil || !bytes.Contains(data, []byte(whole)) {
			t.Errorf("a text of MaxText in %s was cut, or %v", m.Type(), err)
		}
	}
	data, err := Encode(&Forked{ID: 1, PID: 2, Stillborn: []int{3}, Error: whole + "x"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(data)
	if f, ok := m.(*Forked); err != nil || !ok || f.ID != 1 || f.PID != 2 || len(f.Stillborn) != 1 || len(f.Error) != MaxText {
		t.Errorf("a long error arrived as %#v, %v", m, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range examples {
		data, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, b := range bad[:len(bad)-2] { // the last two are too large for a seed
		f.Add([]byte(b.data))
	}
	f.Add([]byte(`{"type":"forked","body":{"id":18446744073709551615,"pid":-1,"stillborn":[],"stillborn":[1,2],"error":"\u003c"}}`))
	f.Add([]byte(`{"TYPE":"Hello","type":"hello","body":{"Config":null,"pid":-0,"listeners":[{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		comparePlain(t, data)
		m, err := Decode(data)
		if err != nil {
			var perr *ProtocolError
			if m != nil || !errors.As(err, &perr) || perr.Error() == "" {
				t.Fatalf("%#v, %v", m, err)
			}
			return
		}
		first, err := Encode(m)
		if errors.Is(err, ErrTooLong) {
			return // escapes may make the encoded message longer
		}
		if err != nil {
			t.Fatalf("%q decodes to %#v, which cannot be encoded: %v", data, m, err)
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("%q, encoded from %q, cannot be decoded: %v", first, data, err)
		}
		second, err := Encode(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%q is encoded as %q, then %q (%v)", data, first, second, err)
		}
	})
}
