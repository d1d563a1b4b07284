package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Output of go test -json: tests that pass, are skipped, fail and panic, the end
// of a package, and a failed build.
const (
	passes = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
`
	skips = `{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:1: no nginx\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
`
	fails = `{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:1: broken\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
`
	panics = `{"Action":"output","Package":"p","Test":"TestD","Output":"panic: test timed out\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t600s\n"}
{"Action":"fail","Package":"p"}
`
	ends = `{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`
	unbuilt = `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: syntax error\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
`
)

func TestASkipMustBeAllowed(t *testing.T) {
	list := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(list, []byte("# comment\np\\.TestB: .*no nginx # not in Debian\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, list, in string
		ok             bool
		want           string
	}{
		{"all pass", "", passes + ends, true, "ok  \tp\t0.1s\n1 tests passed, 0 skipped\n"},
		{"a skip", "", passes + skips + ends, false, "not allowed here: p.TestB: b_test.go:1: no nginx"},
		{"a skip that is allowed", list, passes + skips + ends, true, "skipped, as allowed: 1: not in Debian"},
		{"a failure", list, passes + fails, false, "c_test.go:1: broken"},
		{"a panic of the package", "", passes + panics, false, "panic: test timed out"},
		{"no test", "", ends, false, ""},
		{"a failed build", "", passes + unbuilt, false, "p.go:1: syntax error\nFAIL\tp [build failed]"},
		{"the go command", "", "go: no such module\n", false, "go: no such module"},
	} {
		var out strings.Builder
		err := run(c.list, strings.NewReader(c.in), &out)
		if (err == nil) != c.ok || !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), "noise") {
			t.Errorf("%s: %v, %q; want ok %v and %q", c.name, err, out.String(), c.ok, c.want)
		}
	}
}
