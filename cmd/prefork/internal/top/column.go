package top

import (
	"cmp"
	"strconv"
	"strings"

	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/screen"
)

type column struct {
	name     string
	key      screen.Key // sorts by it
	left     bool       // flush
	descends bool       // the most comes first
	spare    int        // where the screen is narrow the highest goes first; 0 stays
	compare  func(a, b *row) int
	cell     func(r *row) string
	style    func(r *row) human.Style
}

// columns are the table's, in order. The last takes what is left of the line.
var columns = [...]column{
	{name: "SLOT", key: 'S',
		compare: func(a, b *row) int { return cmp.Compare(a.Slot, b.Slot) },
		cell:    func(r *row) string { return strconv.Itoa(r.Slot) }},
	{name: "PID", key: 'P', spare: 1,
		compare: func(a, b *row) int { return cmp.Compare(a.PID, b.PID) },
		cell:    func(r *row) string { return strconv.Itoa(r.PID) }},
	{name: "GEN", key: 'G', spare: 7,
		compare: func(a, b *row) int { return cmp.Compare(a.Generation, b.Generation) },
		cell:    func(r *row) string { return strconv.Itoa(r.Generation) }},
	{name: "STATE", key: 'T', left: true,
		compare: func(a, b *row) int { return strings.Compare(a.State, b.State) },
		cell:    func(r *row) string { return r.State },
		style:   stateOf},
	{name: "ACT", key: 'A', descends: true,
		compare: func(a, b *row) int { return cmp.Compare(a.Active, b.Active) },
		cell:    func(r *row) string { return count(float64(r.Active)) }},
	{name: "ANS/S", key: 'R', descends: true,
		compare: func(a, b *row) int { return cmp.Compare(a.answers, b.answers) },
		cell:    func(r *row) string { return r.figure(count(r.answers)) }},
	{name: "CONN/S", key: 'N', descends: true, spare: 10,
		compare: func(a, b *row) int { return cmp.Compare(a.rate, b.rate) },
		cell:    func(r *row) string { return r.figure(count(r.rate)) }},
	{name: "ERR", key: 'E', descends: true, spare: 6,
		compare: func(a, b *row) int { return cmp.Compare(a.Failed, b.Failed) },
		cell:    func(r *row) string { return count(float64(r.Failed)) },
		style:   func(r *row) human.Style { return when(r.failing, human.Red) }},
	{name: "LAG", key: 'L', descends: true, spare: 8,
		compare: func(a, b *row) int { return cmp.Compare(a.LoopLagS, b.LoopLagS) },
		cell:    func(r *row) string { return human.Brief(r.LoopLagS) },
		style:   func(r *row) human.Style { return when(r.LoopLagS >= lateLoop, human.Yellow) }},
	{name: "HEAP", key: 'H', descends: true, spare: 9,
		compare: func(a, b *row) int { return cmp.Compare(a.HeapBytes, b.HeapBytes) },
		cell:    func(r *row) string { return size(float64(r.HeapBytes)) }},
	{name: "RSS", key: 'M', descends: true, spare: 4,
		compare: func(a, b *row) int { return cmp.Compare(a.RSSBytes, b.RSSBytes) },
		cell:    func(r *row) string { return size(float64(r.RSSBytes)) }},
	{name: "CPU%", key: 'C', descends: true, spare: 3,
		compare: func(a, b *row) int { return cmp.Compare(a.cpu, b.cpu) },
		cell:    func(r *row) string { return r.figure(strconv.FormatFloat(r.cpu, 'f', 0, 64)) }},
	{name: "AGE", key: 'O', descends: true, spare: 5,
		compare: func(a, b *row) int { return cmp.Compare(a.AgeS, b.AgeS) },
		cell:    func(r *row) string { return human.Age(r.AgeS) }},
	{name: "DOING", key: 'D', left: true, descends: true, spare: 2,
		compare: func(a, b *row) int { return cmp.Compare(a.DoingS, b.DoingS) },
		cell:    (*row).activity,
		style:   func(r *row) human.Style { return when(r.DoingS >= longAnswer, human.Yellow) }},
}

const (
	// lateLoop and longAnswer catch the eye, in seconds.
	lateLoop   = 0.1
	longAnswer = 1
)

func (r *row) figure(text string) string {
	if !r.measured {
		return unknown
	}
	return text
}

// activity says what a worker is doing and for how long.
func (r *row) activity() string {
	if r.Doing == "" {
		return ""
	}
	return human.Brief(r.DoingS) + " " + human.CleanLine(r.Doing)
}

func when(is bool, s human.Style) human.Style {
	if is {
		return s
	}
	return 0
}

func stateOf(r *row) human.Style {
	if r.SilentS > human.SilentAlarm {
		return human.Red
	}
	return human.StateStyle(r.State)
}
