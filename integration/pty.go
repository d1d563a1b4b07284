package integration

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"
	"golang.org/x/term"

	"prefork/internal/needtool"
)

// Pty is a pseudo-terminal (pty(7)) with a screen. It understands the control
// sequences that the programs under test send. Any other sequence fails the
// test.
type Pty struct {
	tb     testing.TB
	master *os.File
	slave  *os.File // kept open, so that the terminal outlives its programs
	ended  chan struct{}

	mu                  sync.Mutex // guards what follows
	cells               [][]Cell
	columns             int
	row                 int
	column              int
	main                [][]Cell // the main screen while the alternate one is shown
	mainRow, mainColumn int
	style               string          // of the next rune
	rest                []byte          // an incomplete rune or sequence
	modes               map[string]bool // private modes that were set or reset
	unknown             string          // the first unknown sequence
	tap                 func([]byte)    // called with the programs' output, if not nil
}

// Cell is one place on the screen.
type Cell struct {
	Rune  rune
	Style string // the active SGR parameters
}

// OpenPty opens a terminal of that size. It is closed when the test ends.
func OpenPty(tb testing.TB, columns, rows int) *Pty {
	tb.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		needtool.Skip(tb, "this machine has no pseudo-terminals: %v", err)
	}
	p := &Pty{tb: tb, master: master, slave: slave, ended: make(chan struct{}), modes: map[string]bool{}}
	p.Resize(columns, rows)
	go p.follow()
	tb.Cleanup(func() {
		_ = p.master.Close()
		_ = p.slave.Close()
		<-p.ended
	})
	return p
}

// Resize changes the size of the terminal. Its programs receive SIGWINCH.
func (p *Pty) Resize(columns, rows int) {
	p.tb.Helper()
	p.mu.Lock()
	p.columns, p.cells = columns, make([][]Cell, rows)
	p.row, p.column = 0, 0
	p.mu.Unlock()
	if err := pty.Setsize(p.master, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		p.tb.Fatalf("resize pseudo-terminal: %v", err)
	}
}

// Start starts the command with this controlling terminal. It does not change
// standard error.
func (p *Pty) Start(command *exec.Cmd) {
	p.tb.Helper()
	command.Stdin, command.Stdout = p.slave, p.slave
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		p.tb.Fatal(err)
	}
}

// Modes returns the settings of the terminal's line discipline.
func (p *Pty) Modes() *term.State {
	p.tb.Helper()
	modes, err := term.GetState(int(p.slave.Fd()))
	if err != nil {
		p.tb.Fatalf("read modes of pseudo-terminal: %v", err)
	}
	return modes
}

// Type sends keys.
func (p *Pty) Type(keys string) {
	p.tb.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.tb.Fatalf("type %q: %v", keys, err)
	}
}

// Lines returns the text of the screen.
func (p *Pty) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unknown != "" {
		p.tb.Fatalf("the terminal does not know %q", p.unknown)
	}
	var lines []string
	for _, cells := range p.cells {
		var line strings.Builder
		for _, c := range cells {
			line.WriteRune(c.Rune)
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}

// Cells returns a copy of the screen.
func (p *Pty) Cells() [][]Cell {
	p.mu.Lock()
	defer p.mu.Unlock()
	cells := make([][]Cell, len(p.cells))
	for i := range cells {
		cells[i] = slices.Clone(p.cells[i])
	}
	return cells
}

// Mode reports whether a private mode such as ?25 is set, and whether a program
// has ever set or reset it.
func (p *Pty) Mode(name string) (set, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set, known = p.modes[name]
	return set, known
}

// WaitLines waits until the screen satisfies cond.
func (p *Pty) WaitLines(what string, cond func(lines []string) bool) []string {
	p.tb.Helper()
	var lines []string
	Wait(p.tb, what, func() (bool, string) {
		lines = p.Lines()
		return cond(lines), "\n" + strings.Join(lines, "\n")
	})
	return lines
}

// WaitText waits until the text is on the screen.
func (p *Pty) WaitText(text string) []string {
	p.tb.Helper()
	return p.WaitLines(fmt.Sprintf("%q on the screen", text), func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), text)
	})
}

// follow reads the programs' output and updates the screen.
func (p *Pty) follow() {
	defer close(p.ended)
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		if p.tap != nil {
			p.tap(buf[:n])
		}
		p.rest = append(p.rest, buf[:n]...)
		for len(p.rest) > 0 {
			used := p.take(p.rest)
			if used == 0 {
				break
			}
			p.rest = p.rest[used:]
		}
		p.mu.Unlock()
		if err != nil {
			return // the test is over
		}
	}
}

// take interprets the first rune or sequence and returns its length, or 0 if it
// is incomplete. The caller holds mu.
func (p *Pty) take(b []byte) int {
	switch b[0] {
	case '\r':
		p.column = 0
		return 1
	case '\n':
		p.row++
		return 1
	case 0x1b:
		if len(b) < 2 {
			return 0
		}
		end := 2
		for end < len(b) && b[end] >= 0x20 && b[end] <= 0x3f {
			end++
		}
		if end == len(b) {
			return 0
		}
		if b[1] != '[' || !p.sequence(string(b[2:end]), b[end]) {
			p.reportUnknown(string(b[:end+1]))
		}
		return end + 1
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if r < ' ' || r == utf8.RuneError && n == 1 {
		p.reportUnknown(string(b[:n]))
	}
	p.put(r)
	return n
}

func (p *Pty) reportUnknown(text string) {
	if p.unknown == "" {
		p.unknown = text
	}
}

// put writes one rune. Wrapping is off, so the last column is overwritten.
func (p *Pty) put(r rune) {
	if p.row >= len(p.cells) {
		return // written for the size before a resize
	}
	p.column = min(p.column, p.columns-1)
	for len(p.cells[p.row]) <= p.column {
		p.cells[p.row] = append(p.cells[p.row], Cell{Rune: ' '})
	}
	p.cells[p.row][p.column] = Cell{r, p.style}
	p.column++
}

// alternate switches to an empty alternate screen, or back to the main screen.
func (p *Pty) alternate(to bool) {
	if to {
		p.main, p.mainRow, p.mainColumn = p.cells, p.row, p.column
		p.cells = make([][]Cell, len(p.cells))
		return
	}
	rows := len(p.cells)
	p.cells, p.row, p.column = append(p.main, make([][]Cell, rows)...)[:rows], p.mainRow, p.mainColumn
}

// sequence applies a control sequence and reports whether it is known.
func (p *Pty) sequence(parameters string, final byte) bool {
	switch {
	case final == 'm': // the programs begin each style with 0
		p.style = strings.TrimLeft(parameters, "0;")
	case final == 'H' && parameters == "":
		p.row, p.column = 0, 0
	case final == 'H':
		var row, column int
		if n, _ := fmt.Sscanf(parameters, "%d;%d", &row, &column); n != 2 || row < 1 || column < 1 {
			return false
		}
		p.row, p.column = row-1, column-1
	case final == 'K' && parameters == "":
		if p.row < len(p.cells) {
			p.cells[p.row] = p.cells[p.row][:min(p.column, len(p.cells[p.row]))]
		}
	case final == 'K' && parameters == "2":
		if p.row < len(p.cells) {
			p.cells[p.row] = nil
		}
	case final == 'J' && (parameters == "2" || p.column == 0 && parameters == ""):
		from := 0
		if parameters == "" {
			from = p.row
		}
		for i := from; i < len(p.cells); i++ {
			p.cells[i] = nil
		}
	case (final == 'h' || final == 'l') && strings.HasPrefix(parameters, "?"):
		set := final == 'h'
		if parameters == "?1049" && p.modes[parameters] != set {
			p.alternate(set)
		}
		p.modes[parameters] = set
	default:
		return false
	}
	return true
}
