package loadreport

import (
	"fmt"
	"slices"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// The bounds of the series in a text.
const (
	mostRows      = 20
	mostMarksHere = 4 // under one row
)

// series writes what happened when. A long run is gathered into few rows.
func (t *draft) series() {
	rows := rowsOf(t.r, mostRows)
	if len(rows) == 0 {
		return
	}
	t.b.WriteByte('\n')
	table := human.NewTable([]string{"AT", "RATE", "", "P99", "MAX", "ERRORS", "ACTIVE"}, 2)
	most := 0.0
	for _, r := range rows {
		most = max(most, r.rate())
	}
	room := min(max(t.width-7-9-9-9-8-8-12, 6), 40)
	for _, r := range rows {
		row := human.Cells(human.Duration(r.at), perSecond(r.rate())+"/s", bar(uint64(r.rate()), uint64(most), room),
			latencyOrNone(r.requests, r.p99), latencyOrNone(r.requests, r.max), fmt.Sprint(r.errors), fmt.Sprint(r.active))
		if r.errors > 0 {
			row[5].Style = human.Red
		}
		table.Add(row...)
		t.marks(table, r)
	}
	table.Render(&t.b, t.p)
	if len(t.r.Series) > mostRows {
		fmt.Fprintf(&t.b, "%s\n", t.p.Paint(human.Dim, fmt.Sprintf("%s a row; p99 and max are those of its worst second",
			counted(int(rows[0].span), "second", "seconds"))))
	}
}

// latencyOrNone writes no time where nothing was answered.
func latencyOrNone(answers uint64, seconds float64) string {
	if answers == 0 {
		return "-"
	}
	return human.Duration(seconds)
}

// marks notes under a row what happened in it: failures first, if there are more
// marks than room.
func (t *draft) marks(table *human.Table, r row) {
	marks := slices.Clone(r.marks)
	if len(marks) > mostMarksHere {
		slices.SortStableFunc(marks, func(a, b load.Mark) int { return rank(a) - rank(b) })
	}
	for i, m := range marks {
		if i == mostMarksHere {
			table.Note(t.p.Paint(human.Dim, fmt.Sprintf("        and %d more", len(marks)-i)))
			return
		}
		style := human.Yellow
		if bad(m) {
			style = human.Red
		}
		at := fmt.Sprintf("%.2f s", m.AtS)
		table.Note(t.p.Paint(style, "      ▸ "+at+"  "+markText(m, t.width-10-len(at))))
	}
}

func rank(m load.Mark) int {
	if bad(m) {
		return 0
	}
	return 1
}
