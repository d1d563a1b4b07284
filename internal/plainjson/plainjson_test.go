package plainjson

import (
	"encoding/json"
	"reflect"
	"testing"
)

type inner struct {
	A string `json:"a"`
	B int    `json:"b"`
}

type outer struct {
	S string          `json:"s"`
	I int             `json:"i"`
	F float64         `json:"f"`
	T bool            `json:"t"`
	R json.RawMessage `json:"r"`
	L []inner         `json:"l"`
}

func (in *inner) read(v Value) bool {
	return Object(v, func(key string, v Value) bool {
		switch key {
		case "a":
			return String(v, &in.A)
		case "b":
			return Int(v, &in.B)
		}
		return false
	})
}

func (o *outer) read(data []byte) bool {
	return Object(data, func(key string, v Value) bool {
		switch key {
		case "s":
			return String(v, &o.S)
		case "i":
			return Int(v, &o.I)
		case "f":
			return v.Float(&o.F)
		case "t":
			return v.Bool(&o.T)
		case "r":
			return v.Raw(&o.R)
		case "l":
			if o.L != nil {
				return false
			}
			o.L = []inner{}
			return v.Array(func(v Value) bool {
				o.L = append(o.L, inner{})
				return o.L[len(o.L)-1].read(v)
			})
		}
		return false
	})
}

var understood = []string{
	`{}`, `{"s":"x","i":-12,"f":1.5e3,"t":true,"r":{"a":[1,"}\""]},"l":[{"a":"b","b":1},{}]}`,
	`{"l":[]}`, `{"i":0}`, `{"i":-0}`, `{"i":999999999999999999}`, `{"t":false}`, `{"r":"\u00e9"}`, `{"s":"a","s":"b"}`, `{"f":-0}`,
}

var refused = []string{
	``, `{`, `{}x`, `null`, `[]`, `{"s":"é"}`, `{"s":"\n"}`, `{"s":null}`, `{"r":null}`, `{ }`, `{"i": 1}`, `{"i":1,}`, `{,}`, `{"i"}`,
	`{"i":01}`, `{"i":1.0}`, `{"i":1e2}`, `{"i":}`, `{"i":-}`, `{"i":1000000000000000000}`, `{"f":"1"}`, `{"f":1e999}`, `{"t":1}`,
	`{"r":{]}`, `{"r":{"a"}}`, `{"x":1}`, `{"S":"x"}`, `{"l":[1]}`, `{"l":[{}}`, `{"l":[],"l":[]}`, `{"s":"x`, `{"s":"\`, `{"r": 0}`, `{"r":0 }`, `{"f":0 }`, `{"i":1}}`, `{"i":1]`,
}

func TestPlainObjectsAreReadAsEncodingJSONReadsThem(t *testing.T) {
	for _, data := range understood {
		if !compare(t, []byte(data)) {
			t.Errorf("%s is not understood", data)
		}
	}
	for _, data := range refused {
		if compare(t, []byte(data)) {
			t.Errorf("%s is understood", data)
		}
	}
}

// compare reports whether this package reads data; then encoding/json must agree.
func compare(t *testing.T, data []byte) bool {
	t.Helper()
	var got, want outer
	if !got.read(data) {
		return false
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Errorf("%q: read as %+v; encoding/json says: %v", data, got, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%q: read as %+v; encoding/json reads %+v", data, got, want)
	}
	return true
}

func FuzzObject(f *testing.F) {
	for _, data := range append(understood, refused...) {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compare(t, data) })
}
