package master

import (
	"net/http"
	"os"
	"testing"
)

func TestHandlersThatRunAsRootAreLoggedOnce(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
	r.serves(2)
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload: %+v", a)
	}
	want := 0
	if os.Geteuid() == 0 {
		want = 1
	}
	if n := r.log.FilterMessage("handlers run as root").Len(); n != want {
		t.Errorf("warned %d times, want %d as user %d", n, want, os.Geteuid())
	}
}
