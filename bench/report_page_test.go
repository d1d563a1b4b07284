package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the page of testdata")

// samplePage has the note that a missed goal of sampleReport needs.
const samplePage = `# A page

Text.

- **threading echo, 2 workers ÷ two Go ` + "`net`" + `**: two processes.

<!-- bench: runs -->
old
<!-- end of bench -->

<!-- bench: echo poll kill -->
<!-- end of bench -->

More text.
`

// sampleReport has a suite of bars, with a missed goal, and one of curves.
func sampleReport() report {
	s := sampleSuite()
	s.Skipped = nil
	s.Load = "A load."
	s.Rows = append(s.Rows, row{Name: goNet(2), Values: map[string][]float64{mCPU: {5.9, 11.6, 6.8}, mP99: {200, 300, 250}}})
	curves := suite{
		Name: "poll", Title: "a plot", Unit: "event", Main: mCPU, Rounds: 1, XTitle: "idle descriptors", Run: s.Run,
		Curves: []curve{
			{Name: "epoll", Ours: true, Points: []point{{1, []float64{0.4}}, {10, []float64{0.41}}}},
			{Name: "epoll, raw", Points: []point{{1, []float64{0.39}}, {10, []float64{0.4}}}},
			{Name: "select", Ours: true, Points: []point{{1, []float64{0.45}}}},
		},
	}
	return report{Format: format, Suites: []suite{s, curves}}
}

func TestPageKeepsItsTextAndShowsEverySuite(t *testing.T) {
	r := sampleReport()
	files, err := r.render([]byte(samplePage))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "page.md")
	if *update {
		if err := os.WriteFile(path, files[pageFile], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := files[pageFile]; !bytes.Equal(got, want) {
		t.Errorf("%s differs. If it looks right (go test -update), commit it. Got\n%s", path, got)
	}
	again, err := r.render(files[pageFile])
	if err != nil || !bytes.Equal(again[pageFile], files[pageFile]) {
		t.Errorf("rendered again (%v), the page is\n%s", err, again[pageFile])
	}
	for name, want := range map[string]string{"img/bench-echo-64.svg": "1.20 ×", "img/bench-poll.svg": "epoll, raw"} {
		if !bytes.Contains(files[name], []byte(want)) {
			t.Errorf("%s has no %q:\n%s", name, want, files[name])
		}
	}
}

func TestPageLeavesNothingOut(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"echo poll kill", "echo", `suite "poll" belongs to no block`},
		{"- **threading echo, 2 w", "- **threading echo, 3 w", "two Go `net`\" is missed, and"},
		{"- **threading", "- **threading echo, 1 worker ÷ one Go `net`**: no.\n- **threading", "one Go `net`\" is not missed, and"},
	} {
		r := sampleReport()
		_, err := r.render([]byte(strings.Replace(samplePage, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		}
	}
}

func TestWriteMergesWithWhatWasMeasuredBefore(t *testing.T) {
	all := quotes
	quotes = quotes[:1]
	t.Cleanup(func() { quotes = all })
	dir := filepath.Join(t.TempDir(), "docs")
	if err := os.MkdirAll(filepath.Join(dir, imagesDir), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{pageFile: samplePage, readme: "So " + quotes[0].words + "9 times"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := sampleReport()
	if err := r.writeDocs(dir); err != nil {
		t.Fatal(err)
	}
	r.Suites[1].Title, r.Suites[1].Run.Date = "a newer plot", "2026-02-01T00:00:00Z"
	r.Suites = r.Suites[1:]
	if err := r.writeDocs(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, readme)); err != nil || string(text) != "So "+quotes[0].words+"1.03 times" {
		t.Errorf("%s is %q, %v", readme, text, err)
	}
	for _, want := range []string{"a newer plot", "### echo-64", "- poll: 2026-02-01"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

// The page in docs is what the raw values beside it give.
func TestDocumentsShowTheirRawValues(t *testing.T) {
	r, err := readReports([]string{filepath.Join(docs, rawFile)})
	if err != nil {
		t.Fatal(err)
	}
	files, err := r.documents(docs)
	if err != nil {
		t.Error(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(docs, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s gives (%v); write it: go run . -from %s -write", name, rawFile, err, filepath.Join(docs, rawFile))
		}
	}
	images, err := filepath.Glob(filepath.Join(docs, imagesDir, "bench-*.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		if name, err := filepath.Rel(docs, image); err != nil || files[name] == nil {
			t.Errorf("%s belongs to no suite of %s", image, rawFile)
		}
	}
}
