package worker

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestEveryFieldOfAConfigIsReadWithoutReflection(t *testing.T) {
	var all Config
	v := reflect.ValueOf(&all).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i) - 5)
		case reflect.Float64:
			f.SetFloat(0.25)
		case reflect.Bool:
			f.SetBool(true)
		default:
			f.SetBytes([]byte(`{"Handler":"upper"}`))
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var got, want Config
	if !got.readAllPlain(data) {
		t.Fatalf("%s is not understood: add the new field to readPlain", data)
	}
	if err := json.Unmarshal(data, &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s is read as %+v, want %+v, %v", data, got, want, err)
	}
}

func TestAnUnusualConfigIsReadByEncodingJSON(t *testing.T) {
	for _, text := range []string{`{"mode":"a","mode":null,"MODE":"forking"}`, ` {"mode":"forking","new":[1,2]}`} {
		c, err := parseConfig([]byte(text))
		if err != nil || c.Mode != Forking {
			t.Errorf("%s is read as %+v, %v", text, c, err)
		}
	}
	if c, err := parseConfig([]byte(`{"mode":"forking","settings":{]}`)); err == nil {
		t.Errorf("read as %+v, want an error", c)
	}
}
