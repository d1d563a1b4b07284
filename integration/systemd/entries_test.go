package systemd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Entry is one line of the journal.
type Entry map[string]any

// Journal returns the unit's lines. args are further arguments of journalctl.
func (s *Service) Journal(args ...string) []Entry {
	s.t.Helper()
	return s.JournalOfAll(append([]string{"-u", s.Unit}, args...)...)
}

// JournalOfAll returns the lines of the whole machine since the start of the
// test.
func (s *Service) JournalOfAll(args ...string) []Entry {
	s.t.Helper()
	s.m.must(s.t, "journalctl", "--sync")
	// Not --after-cursor: journalctl 252 omits one line too many if the line at
	// the cursor does not match the other arguments.
	lines := s.m.journal(s.t, append([]string{"--cursor=" + s.since}, args...)...)
	return slices.DeleteFunc(lines, func(e Entry) bool { return e.text("__CURSOR") == s.since })
}

// WaitJournal waits for a line whose text contains all of the words.
func (s *Service) WaitJournal(words ...string) Entry {
	s.t.Helper()
	var found Entry
	await(s.t, fmt.Sprintf("%q in the journal", words), func() (bool, string) {
		for _, e := range s.Journal() {
			if containsAll(e.text("MESSAGE"), words) {
				found = e
				return true, ""
			}
		}
		return false, s.m.try("journalctl", "-u", s.Unit, "-n", "5")
	})
	return found
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// cursor returns the cursor of the last line of the journal.
func (m *Machine) cursor(t *testing.T) string {
	t.Helper()
	m.must(t, "journalctl", "--sync")
	last := m.journal(t, "--lines=1")
	if len(last) != 1 {
		t.Fatalf("journalctl --lines=1 printed %d lines", len(last))
	}
	return last[0].text("__CURSOR")
}

// text returns a field, or "" if the line does not have it.
func (e Entry) text(field string) string {
	text, _ := e[field].(string)
	return text
}

// microseconds returns a field that holds a time.
func (e Entry) microseconds(t *testing.T, field string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(e.text(field), 10, 64)
	if err != nil {
		t.Fatalf("%s is not a time in %v", field, e)
	}
	return n
}

// journal runs journalctl and decodes its lines.
func (m *Machine) journal(t *testing.T, args ...string) []Entry {
	t.Helper()
	out := m.must(t, append([]string{"journalctl", "--output=json", "--all"}, args...)...)
	var entries []Entry
	for line := range strings.Lines(out) {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			if strings.HasPrefix(line, "-- ") {
				continue
			}
			t.Fatalf("journalctl %v printed %q: %v", args, line, err)
		}
		entries = append(entries, e)
	}
	return entries
}
