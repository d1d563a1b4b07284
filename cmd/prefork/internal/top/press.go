package top

import (
	"fmt"
	"slices"
	"strings"

	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/screen"
)

// maxWaiting bounds the commands without a verdict.
const maxWaiting = 8

// Wish is what a key wants the command to do. Its zero value is nothing.
type Wish struct {
	Quit    bool
	Redraw  bool   // all of the screen: something else wrote on it
	Command string // to send: recycle or drain-worker
	Slot    int    // of the worker that it is about
}

func (w Wish) verb() string { return strings.TrimSuffix(w.Command, "-worker") }

func (w Wish) done() string {
	return map[string]string{"recycle": "recycled", "drain": "drained"}[w.verb()]
}

// Press takes a key.
func (m *Model) Press(k screen.Key) Wish {
	switch {
	case k == screen.KeyCtrlC:
		return Wish{Quit: true}
	case k == screen.KeyCtrlL:
		return Wish{Redraw: true}
	case m.question != nil:
		return m.answer(k)
	case m.help:
		m.help = false
		return Wish{Quit: k == 'q'}
	}
	m.said = ""
	switch k {
	case 'q':
		return Wish{Quit: true}
	case '?', 'h':
		m.help = true
	case 'p', ' ':
		m.pause()
	case 'r':
		m.ask("recycle")
	case 'd':
		m.ask("drain-worker")
	default:
		if !m.order(k) {
			m.move(k)
		}
	}
	return Wish{}
}

// order changes the order of the table, and reports whether k is a key for that.
func (m *Model) order(k screen.Key) bool {
	n := len(columns)
	switch k {
	case 's', '>', screen.KeyRight:
		m.sort, m.reversed = (m.sort+1)%n, false
	case '<', screen.KeyLeft:
		m.sort, m.reversed = (m.sort+n-1)%n, false
	case 'i':
		m.reversed = !m.reversed
	default:
		i := slices.IndexFunc(columns[:], func(c column) bool { return c.key == k })
		if i < 0 {
			return false
		}
		m.sort, m.reversed = i, i == m.sort && !m.reversed
	}
	return true
}

func (m *Model) move(k screen.Key) {
	rows := m.rows()
	at := m.position(rows)
	if at < 0 {
		return
	}
	switch k {
	case screen.KeyUp, 'k':
		at--
	case screen.KeyDown, 'j':
		at++
	case screen.KeyPageUp:
		at -= m.page
	case screen.KeyPageDown:
		at += m.page
	case screen.KeyHome:
		at = 0
	case screen.KeyEnd:
		at = len(rows) - 1
	default:
		return
	}
	at = max(0, min(at, len(rows)-1))
	m.selected, m.row, m.moved = rows[at].PID, at, true
}

func (m *Model) pause() {
	if m.frozen != nil {
		m.frozen = nil
		return
	}
	frozen := m.live
	m.frozen = &frozen
}

// ask puts the question before a command about the selected worker.
func (m *Model) ask(command string) {
	rows := m.rows()
	at := m.position(rows)
	switch {
	case at < 0:
		m.refuse("there is no worker to choose")
	case m.waiting >= maxWaiting:
		m.refuse("too many commands have no answer yet")
	default:
		m.question, m.about = &Wish{Command: command, Slot: rows[at].Slot}, rows[at].PID
	}
}

func (m *Model) refuse(why string) { m.said, m.bad = why, true }

func (m *Model) answer(k screen.Key) Wish {
	w := *m.question
	m.question = nil
	switch {
	case k != 'y' && k != 'Y':
		m.said, m.bad = "nothing done", false
		return Wish{}
	case !m.lives(w.Slot, m.about):
		m.refuse(fmt.Sprintf("worker %d has gone by itself", m.about))
		return Wish{}
	}
	m.waiting++
	m.bad = false
	m.said = fmt.Sprintf("%s slot %d, pid %d ...", w.verb(), w.Slot, m.about)
	return w
}

// lives says whether that worker has that slot, as far as is known now.
func (m *Model) lives(slot, pid int) bool {
	if m.live.now == nil {
		return false
	}
	for _, w := range m.live.now.Workers {
		if w.Slot == slot {
			return w.PID == pid
		}
	}
	return false
}

// footer is the last line: a question, an outcome, what the selected worker does,
// or the keys.
func (m *Model) footer() human.Line {
	switch {
	case m.question != nil:
		text := fmt.Sprintf(" %s the worker in slot %d (pid %d)? y/n ", m.question.verb(), m.question.Slot, m.about)
		return human.Line{{Text: text, Style: human.Reverse | human.Bold}}
	case m.help:
		return human.Line{{Text: "any key goes back", Style: human.Dim}}
	case m.said != "":
		return human.Line{{Text: oneLine(m.said), Style: when(m.bad, human.Red)}}
	}
	rows := m.rows()
	if at := m.position(rows); at >= 0 && m.moved {
		r := &rows[at]
		doing := "nothing under way"
		if r.Doing != "" {
			doing = "for " + human.Brief(r.DoingS) + ": " + r.Doing
		}
		return human.Line{{Text: fmt.Sprintf("%d of %d, slot %d  ", at+1, len(rows), r.Slot), Style: human.Dim}, {Text: doing}}
	}
	return human.Line{{Text: "q quit  ? help  s sort  i reverse  p pause  ↑↓ choose  r recycle  d drain", Style: human.Dim}}
}

func helpLines() []human.Line {
	var letters []string
	for _, c := range columns {
		letters = append(letters, string(c.key)+" "+c.name)
	}
	text := []string{
		"up, down, j, k       choose a worker; also page up, page down, home, end",
		"r                    recycle it: once its replacement accepts, it finishes and goes",
		"d                    drain it: it stops accepting now, finishes and goes;",
		"                     its replacement comes as the pool needs one",
		"s, >, right          sort by the next column; <, left: by the one before",
		"i                    reverse the order",
		strings.Join(letters[:7], "  "),
		strings.Join(letters[7:], "  "),
		"                     sort by that column; again: reverse",
		"p, space             pause, and go on",
		"ctrl-l               redraw the screen",
		"q, ctrl-c            quit; the server goes on",
		"",
		"ANS/S   answers a second                LAG    worst delay of its loop",
		"CONN/S  connections handled a second",
		"ERR     connections that failed         DOING  its longest answer under way",
	}
	lines := []human.Line{{{Text: "prefork top", Style: human.Bold}}}
	for _, t := range text {
		lines = append(lines, human.Line{{Text: t}})
	}
	return lines
}
