package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Line is one structured line of a log.
type Line map[string]any

// Log reads the log file of a running server.
type Log struct{ path string }

// NewLog returns a Log of the file at path, which need not exist yet.
func NewLog(path string) *Log { return &Log{path: path} }

// Text returns what has been written so far.
func (l *Log) Text() string {
	data, err := os.ReadFile(l.path)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(data)
}

// Lines returns the lines that are JSON objects.
func (l *Log) Lines() []Line {
	var lines []Line
	for text := range strings.Lines(l.Text()) {
		var line Line
		if json.Unmarshal([]byte(text), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// Count counts the lines whose fields have the given values. pairs are names
// and values; numbers are float64, as encoding/json decodes them.
func (l *Log) Count(pairs ...any) int {
	n := 0
	for _, line := range l.Lines() {
		if line.has(pairs) {
			n++
		}
	}
	return n
}

func (line Line) has(pairs []any) bool {
	for i := 0; i+1 < len(pairs); i += 2 {
		if line[pairs[i].(string)] != pairs[i+1] {
			return false
		}
	}
	return true
}

// WaitText waits until the log contains the text.
func (l *Log) WaitText(tb testing.TB, text string) {
	tb.Helper()
	Wait(tb, fmt.Sprintf("%q in the log", text), func() (bool, string) {
		log := l.Text()
		return strings.Contains(log, text), Tail(log, 5)
	})
}

// Tail returns the last n lines of text.
func Tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
