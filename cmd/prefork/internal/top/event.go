package top

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"prefork"
	"prefork/cmd/prefork/internal/human"
)

// firstFields are the fields that an operator looks for, in that order. The
// others follow by their names.
func firstFields() []string {
	return []string{"slot", "pid", "generation", "event", "signal", "exit_code", "error"}
}

// hiddenFields are the same in every line of the master, or too long for one.
func hiddenFields() []string { return []string{"role", "stack", "evidence"} }

// events are the lines of the last n events, the oldest first.
func (m *Model) events(n int, now time.Time) []human.Line {
	all := m.shown().events
	var lines []human.Line
	for _, e := range all[max(0, len(all)-n):] {
		lines = append(lines, eventLine(&e, now.Location()))
	}
	return lines
}

func eventLine(e *prefork.Event, zone *time.Location) human.Line {
	style := human.Style(0)
	switch e.Level {
	case "warn":
		style = human.Yellow
	case "info", "debug":
	default:
		style = human.Red
	}
	l := human.Line{
		{Text: e.At.In(zone).Format(time.TimeOnly) + " ", Style: human.Dim},
		{Text: fmt.Sprintf("%-5s ", e.Level), Style: style},
		{Text: oneLine(e.Message)},
	}
	for _, key := range fieldNames(e.Fields) {
		name, value := fieldText(key, e.Fields[key])
		l = append(l, human.Cell{Text: " " + name + "=", Style: human.Dim}, human.Cell{Text: value})
	}
	return l
}

func fieldNames(fields map[string]any) []string {
	first, hidden := firstFields(), hiddenFields()
	var names, others []string
	for _, name := range first {
		if _, ok := fields[name]; ok {
			names = append(names, name)
		}
	}
	for name := range fields {
		if !slices.Contains(first, name) && !slices.Contains(hidden, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(names, others...)
}

// maxValue bounds a field's value on the screen.
const maxValue = 200

func fieldText(key string, value any) (name, text string) {
	switch v := value.(type) {
	case float64:
		if bare, ok := strings.CutSuffix(key, "_s"); ok {
			return bare, human.Brief(v)
		}
		return key, strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		text = v
	default:
		text = fmt.Sprint(v)
	}
	if text = oneLine(text); strings.ContainsAny(text, " \"=") || text == "" {
		text = strconv.Quote(text)
	}
	return key, human.Cut(text, maxValue)
}
