package systemd

import (
	"strconv"
	"testing"
	"time"
)

func TestTheJournalFindsLinesByPriorityAndByField(t *testing.T) {
	s := instance(t, here(t), "journal", "")
	s.Start()
	killed := s.WaitWorkers(2).Workers[1]
	s.Kill("KILL", killed.PID)
	s.WaitJournal("worker exited")

	warnings := s.Journal("-p", "warning", "PREFORK_MESSAGE=worker exited") // a busy machine may cause other warnings
	if len(warnings) != 1 {
		t.Fatalf("%d lines of warning: %v", len(warnings), warnings)
	}
	for name, want := range map[string]string{
		"PRIORITY":           "4",
		"SYSLOG_IDENTIFIER":  "prefork",
		"PREFORK_MESSAGE":    "worker exited",
		"PREFORK_ROLE":       "master",
		"PREFORK_SLOT":       strconv.Itoa(killed.Slot),
		"PREFORK_PID":        strconv.Itoa(killed.PID),
		"PREFORK_GENERATION": "1",
		"_SYSTEMD_UNIT":      s.Unit,
		"_PID":               strconv.Itoa(s.MainPID()),
	} {
		if warnings[0][name] != want {
			t.Errorf("%s is %v, want %q", name, warnings[0][name], want)
		}
	}
	slot := "PREFORK_SLOT=" + strconv.Itoa(killed.Slot)
	if found := s.Journal("PREFORK_MESSAGE=worker exited", slot); len(found) != 1 {
		t.Errorf("%d lines with %s", len(found), slot)
	}
	if found := s.Journal("-p", "err"); len(found) != 0 {
		t.Errorf("errors: %v", found)
	}
}

// drainTime is how long a worker waits before its exit until the journal has
// read its last line (package prefork/internal/logs).
const drainTime = 100 * time.Millisecond

// late reports whether the journal read a line so late that its sender may have
// exited.
func (e Entry) late(t *testing.T) bool {
	t.Helper()
	waited := e.microseconds(t, "__REALTIME_TIMESTAMP") - e.microseconds(t, "_SOURCE_REALTIME_TIMESTAMP")
	return time.Duration(waited)*time.Microsecond >= drainTime
}

// The journal looks at the process that wrote a line to learn its unit. In mode
// forking such a process lives for milliseconds. The journal looks at it between
// the two times that it records, so lines with times far apart are not counted
// as failures.
func TestTheLastLineOfAWorkerBelongsToTheUnit(t *testing.T) {
	s := instance(t, here(t), "last", "mode = \"forking\"\nlog_level = \"debug\"")
	s.Start()
	const connections = 30
	for range connections {
		if err := s.Ask(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Systemctl("stop"); err != nil {
		t.Fatal(err)
	}
	late, ours := 0, 0
	for _, e := range s.JournalOfAll("PREFORK_ROLE=worker", "SYSLOG_IDENTIFIER=prefork") {
		switch {
		case e["_SYSTEMD_UNIT"] == s.Unit && e["_COMM"] == "prefork":
			ours++
		case e.late(t):
			late++
		default:
			t.Errorf("a worker's line does not belong to the unit: %v", e)
		}
	}
	t.Logf("%d lines belong to the unit, %d were read too late by the journal", ours, late)
	if ours+late < connections {
		t.Errorf("%d lines of %d workers", ours+late, connections)
	}
}
