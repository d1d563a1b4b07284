package master

import (
	"errors"
	"net/http"
	"os"
	"testing"
)

func TestMasterStartsItsWorkersAndDrains(t *testing.T) {
	r := start(t, Options{Generation: generationOf(3, "", "tcp://127.0.0.1:0"), Build: "v1"})
	s := r.serves(3)
	if s.Version != "v1" || len(s.Listeners) != 1 || s.Target != "3" || s.PID != os.Getpid() {
		t.Errorf("status = %+v", s)
	}
	r.until("all workers to get Accept", func(s Status) bool { return s.Totals.Accepted == 3 })
	code, a := r.post("drain")
	if code != http.StatusOK || !a.OK {
		t.Errorf("drain = %d %+v", code, a)
	}
	if err := r.wait(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestConfigurationErrorAtBootIsExit78(t *testing.T) {
	for name, g := range map[string]Generation{
		"address": generationOf(1, "", "bogus"),
		"worker":  generationOf(1, "fail", "tcp://127.0.0.1:0"),
	} {
		r := start(t, Options{Generation: g})
		var config *ConfigError
		if err := r.wait(); !errors.As(err, &config) {
			t.Errorf("%s: Run = %v, want a ConfigError", name, err)
		}
	}
}
