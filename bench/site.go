package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// site is the directory that the HTTP servers serve.
type site struct {
	root         string
	small, large string // what is in the files
}

// What the HTTP servers answer.
const (
	okPath     = "/healthz"
	okBody     = "ok\n"
	smallPath  = "/small.txt"  // 1 KiB
	mediumPath = "/medium.txt" // 8 KiB
	largePath  = "/large.txt"  // 64 KiB
)

func makeSite(dir string) (site, error) {
	s := site{root: filepath.Join(dir, "site"), small: bodyText(1 << 10), large: bodyText(64 << 10)}
	if err := os.Mkdir(s.root, 0o755); err != nil {
		return s, err
	}
	for name, text := range map[string]string{smallPath: s.small, mediumPath: bodyText(8 << 10), largePath: s.large} {
		if err := os.WriteFile(filepath.Join(s.root, name), []byte(text), 0o644); err != nil {
			return s, err
		}
	}
	return s, nil
}

// bodyText is text that compresses well.
func bodyText(size int) string {
	var b strings.Builder
	for i := uint32(1); b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d has the number %08x and some words that come again\n", i, i*2654435761)
	}
	return b.String()[:size]
}
