package systemd

import (
	"strconv"
	"testing"
)

func TestTheJournalFindsLinesByPriorityAndByField(t *testing.T) {
	s := instance(t, here(t), "journal", "")
	s.Start()
	victim := s.WaitWorkers(2).Workers[1]
	s.Kill("KILL", victim.PID)
	s.WaitJournal("worker exited")

	warnings := s.Journal("-p", "warning")
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

// The journal finds out whose line it is by looking at the process that wrote
// it, which in mode forking lives for milliseconds.
func TestTheLastLineOfAWorkerIsTheUnitsToo(t *testing.T) {
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
	s.m.must(t, "journalctl", "--sync")
	all := s.m.journal(t, "PREFORK_ROLE=worker", "SYSLOG_IDENTIFIER=prefork")
	strangers, ours := 0, 0
	for _, e := range all {
		if e["_COMM"] != "prefork" {
			t.Errorf("a worker is called %v", e["_COMM"])
		}
		switch e["_SYSTEMD_UNIT"] {
		case s.Unit:
			ours++
		case nil:
			strangers++
			t.Logf("nobody's: %v", e)
		}
	}
	if strangers > 0 || ours < connections {
		t.Errorf("%d of the workers' lines are nobody's, %d the unit's", strangers, ours)
	}
}
