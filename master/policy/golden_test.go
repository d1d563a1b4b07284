package policy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"prefork/internal/script"
)

var update = flag.Bool("update", false, "rewrite the expected actions in testdata")

// TestScripts plays every file in testdata. A line that begins with @ is an
// event with its time. The machine's actions are indented below it:
//
//	@1.5s exited id=3 signal=11    at 1.5 s
//	@+20ms ready id=2              20 ms after the line above
//	@wake                          a tick at the time that the machine asked for
//	@ up                           every starting worker is spawned and becomes ready
//	@ gone                         every worker that drains or exits is gone
//	! listen fails                 the next Listen fails
//	! workers                      prints the workers
//	! wake                         prints when the machine wants to wake
//	! target                       prints the target size of the pool
//
// Listen is answered at once, as the master does. Notes at level debug are
// omitted. Run with -update to rewrite the files, and read the difference.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScript(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s is not what happens:\n%s", file, firstDifference(string(want), got))
			}
		})
	}
}

// player plays one script.
type player struct {
	t    *testing.T
	m    *Machine
	now  time.Duration
	out  strings.Builder
	line int

	listenErr string // error of the next Listen
}

func playScript(t *testing.T, script string) string {
	p := &player{t: t, m: New()}
	for line := range strings.Lines(script) {
		p.line++
		text := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(text, "    ") {
			continue // an answer of another day
		}
		p.out.WriteString(line)
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "!"):
			p.show(strings.TrimSpace(text[1:]))
		case strings.HasPrefix(text, "@"):
			when, what, _ := strings.Cut(text[1:], " ")
			p.event(when, strings.TrimSpace(what))
		default:
			t.Fatalf("line %d: cannot read %q", p.line, text)
		}
	}
	return p.out.String()
}

func (p *player) answer(format string, args ...any) {
	fmt.Fprintf(&p.out, "    "+format+"\n", args...)
}

func (p *player) show(what string) {
	switch what {
	case "workers":
		for _, w := range p.m.Workers() {
			held := ""
			if w.Held {
				held = " (held)"
			}
			p.answer("slot %d: id %d, generation %d, %s%s", w.Slot, w.ID, w.Generation, w.State, held)
		}
	case "listen fails":
		p.listenErr = "bind tcp://:80: address already in use"
	case "wake":
		at, ok := p.m.Wake()
		if !ok {
			p.answer("never")
			return
		}
		p.answer("at %s", at)
	case "target":
		p.answer("%s", p.m.Target())
	default:
		p.t.Fatalf("line %d: cannot show %q", p.line, what)
	}
}

func (p *player) event(when, what string) {
	switch {
	case when == "wake":
		at, ok := p.m.Wake()
		if !ok {
			p.t.Fatalf("line %d: the machine does not want to wake", p.line)
		}
		p.now = at
		p.answer("(at %s)", at)
		what = "tick"
	case when != "":
		d, err := time.ParseDuration(strings.TrimPrefix(when, "+"))
		if err != nil {
			p.t.Fatalf("line %d: %v", p.line, err)
		}
		if strings.HasPrefix(when, "+") {
			d += p.now
		}
		p.now = d
	}
	switch what {
	case "up":
		for _, w := range p.m.Workers() {
			if w.State != WorkerStarting {
				continue
			}
			if w.PID == 0 {
				p.step(Spawned{ID: w.ID, PID: 100 + int(w.ID)})
			}
			p.step(Ready{ID: w.ID})
		}
	case "gone":
		for _, w := range p.m.Workers() {
			if (w.State == WorkerDraining || w.State == WorkerExiting) && !w.Held {
				p.step(Exited{ID: w.ID})
			}
		}
	default:
		ev, err := parseEvent(what)
		if err != nil {
			p.t.Fatalf("line %d: %v", p.line, err)
		}
		p.step(ev)
	}
}

func (p *player) step(ev Event) {
	before := p.m.State()
	var then Event
	for _, a := range p.m.Step(p.now, ev) {
		if n, ok := a.(Note); !ok || n.Level > Debug {
			p.answer("%s", script.Format(a))
		}
		if a, ok := a.(Listen); ok {
			then, p.listenErr = Listening{a.Generation, p.listenErr}, ""
		}
	}
	if after := p.m.State(); after != before {
		p.answer("(%s)", after)
	}
	if then != nil {
		p.step(then)
	}
}

// firstDifference returns the first lines in which two texts differ.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := 0; i < len(w) || i < len(g); i++ {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant: %s\ngot:  %s", i+1, a, b)
		}
	}
	return ""
}
