package systemd

import (
	"strconv"
	"testing"
	"time"
)

func TestTheJournalFindsLinesByPriorityAndByField(t *testing.T) {
	s := instance(t, here(t), "journal", "")
	s.Start()
	victim := s.WaitWorkers(2).Workers[1]
	s.Kill("KILL", victim.PID)
	s.WaitJournal("worker exited")

	warnings := s.Journal("-p", "warning", "PREFORK_MESSAGE=worker exited") // a busy machine may cause others
	if len(warnings) != 1 {
		t.Fatalf("%d lines of warning: %v", len(warnings), warnings)
	}
	for name, want := range map[string]string{
		"PRIORITY":           "4",
		"SYSLOG_IDENTIFIER":  "prefork",
		"PREFORK_MESSAGE":    "worker exited",
		"PREFORK_ROLE":       "master",
		"PREFORK_SLOT":       strconv.Itoa(victim.Slot),
		"PREFORK_PID":        strconv.Itoa(victim.PID),
		"PREFORK_GENERATION": "1",
		"_SYSTEMD_UNIT":      s.Unit,
		"_PID":               strconv.Itoa(s.MainPID()),
	} {
		if warnings[0][name] != want {
			t.Errorf("%s is %v, want %q", name, warnings[0][name], want)
		}
	}
	slot := "PREFORK_SLOT=" + strconv.Itoa(victim.Slot)
	if found := s.Journal("PREFORK_MESSAGE=worker exited", slot); len(found) != 1 {
		t.Errorf("%d lines with %s", len(found), slot)
	}
	if found := s.Journal("-p", "err"); len(found) != 0 {
		t.Errorf("errors: %v", found)
	}
}

// drainTime is how long a worker that has logged its last line waits for the
// journal before it leaves all the same (package prefork/internal/logs).
const drainTime = 100 * time.Millisecond

// late says whether the journal took a line up so late that its sender need not
// have been there any more.
func (e Entry) late(t *testing.T) bool {
	t.Helper()
	waited := e.microseconds(t, "__REALTIME_TIMESTAMP") - e.microseconds(t, "_SOURCE_REALTIME_TIMESTAMP")
	return time.Duration(waited)*time.Microsecond >= drainTime
}

// The journal finds out whose line it is by looking at the process that wrote
// it, which in mode forking lives for milliseconds. It looks between the two
// times that it notes, so a line is excused if they lie far apart.
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
	excused, ours := 0, 0
	for _, e := range s.JournalOfAll("PREFORK_ROLE=worker", "SYSLOG_IDENTIFIER=prefork") {
		switch {
		case e["_SYSTEMD_UNIT"] == s.Unit && e["_COMM"] == "prefork":
			ours++
		case e.late(t):
			excused++
		default:
			t.Errorf("a worker's line is another's or nobody's: %v", e)
		}
	}
	t.Logf("%d lines are the unit's, %d the journal took too late to know", ours, excused)
	if ours+excused < connections {
		t.Errorf("%d lines of %d workers", ours+excused, connections)
	}
}
