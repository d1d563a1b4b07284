package ipc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// comparePlain checks that data is read, and what it says is written, as
// encoding/json does it. It reports what was read and written without it.
func comparePlain(t *testing.T, data []byte) (read, written bool) {
	t.Helper()
	want, err := decodeJSON(data)
	if m := decodePlain(data); m != nil {
		read = true
		if err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%q: read as %#v, want %#v, %v", data, m, want, err)
		}
	}
	if err != nil {
		return read, false
	}
	if plain := encodePlain(want); plain != nil {
		written = true
		if b, err := encodeJSON(truncated(want)); err != nil || !bytes.Equal(plain, b) {
			t.Errorf("%#v: written as %q, want %q, %v", want, plain, b, err)
		}
	}
	return read, written
}

// What a worker and a zygote send and receive in their lives needs no reflection.
func TestAWorkersLifeNeedsNoReflection(t *testing.T) {
	fromWorker := []Message{
		&Hello{Protocol: ProtocolVersion, Build: "v1.2.3-0.20260101", PID: 42}, &Ready{}, &Report{State: StateBusy},
		&Report{State: StateLeaving}, &Drained{}, &Drained{Cut: 1},
		&Fork{ID: 7, Slot: 1, LogLevel: "info"}, &Fork{}, &Forked{ID: 7, PID: 42}, &Forked{},
		&Forked{ID: 1e17, PID: 42, Stillborn: []int{40, 41}, Error: "no memory"},
	}
	master := *examples[0].(*Hello)
	master.Config = json.RawMessage(`{"mode":"forking","settings":{"Handler":"upper","x":"\u003c"}}`)
	for i, m := range append(fromWorker, &master, &Resume{}, &Stop{}) {
		data, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if read, written := comparePlain(t, data); !read || i < len(fromWorker) && !written {
			t.Errorf("%s: read without reflection %v, written %v", data, read, written)
		}
	}
}

func TestUnusualMessagesAreLeftToEncodingJSON(t *testing.T) {
	for _, data := range []string{
		`{"type":"ready","body":{"new":1}}`, `{"body":{"pid":7},"type":"hello","body":{"build":"x"}}`, `{"type":"hello","body":null}`,
		`{"type":"hello","body":{"build":"<é>"}}`, `{"type":"hello","body":{"listeners":[],"listeners":[{"name":"x"}]}}`,
		`{"type":"forked","body":{"id":1,"stillborn":[1],"stillborn":[2]}}`, `{"type":"fork","body":{"id":18446744073709551615}}`,
		`{"Type":"ready"}`, ` {"type":"ready"}`, `{"type":"ready","body":{]}`, `{"type":"drained","body":{"cut":1.5}}`,
	} {
		if read, written := comparePlain(t, []byte(data)); read || written && data == `{"type":"hello","body":{"build":"<é>"}}` {
			t.Errorf("%s: read without reflection %v, written %v", data, read, written)
		}
	}
}
