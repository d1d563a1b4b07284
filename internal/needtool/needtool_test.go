package needtool

import (
	"fmt"
	"runtime"
	"testing"
)

// recorder is a testing.TB that records how the test ended.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (*recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func record(t *testing.T, f func(tb testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestAMissingToolSkipsTheTest(t *testing.T) {
	t.Setenv(Strict, "")
	r := record(t, func(tb testing.TB) { Need(tb, "no-such-tool", "none") })
	if r.skipped == "" || r.failed != "" {
		t.Errorf("skipped %q, failed %q; want a skip with a reason", r.skipped, r.failed)
	}
}

func TestAMissingToolFailsTheTestWhenStrict(t *testing.T) {
	t.Setenv(Strict, "1")
	r := record(t, func(tb testing.TB) { Need(tb, "no-such-tool", "none") })
	if r.skipped != "" || r.failed == "" {
		t.Errorf("skipped %q, failed %q; want a failure", r.skipped, r.failed)
	}
}

func TestAnInstalledToolIsFound(t *testing.T) {
	if path := Need(t, "go", "golang"); path == "" {
		t.Error("no path")
	}
}
