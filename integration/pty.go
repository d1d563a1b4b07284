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

// Pty is a terminal that a test sits at: a pseudo-terminal (pty(7)) and as much
// of a screen as the programs under test ask for. What they send that it does
// not know fails the test.
type Pty struct {
	tb     testing.TB
	master *os.File
	slave  *os.File // held open, so that the terminal outlives its programs
	ended  chan struct{}

	mu                  sync.Mutex // guards what follows
	cells               [][]Cell
	columns             int
	row                 int
	column              int
	main                [][]Cell // the main screen while the alternate one is shown
	mainRow, mainColumn int
	style               string          // of what is written next
	rest                []byte          // a rune or a sequence that is begun
	modes               map[string]bool // private modes as they were set last
	unknown             string          // the first thing that was not understood
	tap                 func([]byte)    // sees what the programs write, if it is set
}

// Cell is one place on the screen.
type Cell struct {
	Rune  rune
	Style string // the parameters of SGR that are in force, "" for none
}

// OpenPty opens a terminal of that size; it is closed with the test.
func OpenPty(tb testing.TB, columns, rows int) *Pty {
	tb.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		needtool.Skip(tb, "no pseudo-terminals here: %v", err)
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

// Resize gives the terminal another size, which its programs hear of by
// SIGWINCH.
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

// Start starts the command with the terminal as its controlling one. Standard
// error stays what it is.
func (p *Pty) Start(command *exec.Cmd) {
	p.tb.Helper()
	command.Stdin, command.Stdout = p.slave, p.slave
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		p.tb.Fatal(err)
	}
}

// Modes are the terminal's line discipline.
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

// Lines is what stands on the screen.
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

// Cells is the screen as it looks, line by line.
func (p *Pty) Cells() [][]Cell {
	p.mu.Lock()
	defer p.mu.Unlock()
	cells := make([][]Cell, len(p.cells))
	for i := range cells {
		cells[i] = slices.Clone(p.cells[i])
	}
	return cells
}

// Mode says whether a private mode such as ?25 is set, and whether it ever was
// spoken of.
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

// WaitText waits until the text stands on the screen.
func (p *Pty) WaitText(text string) []string {
	p.tb.Helper()
	return p.WaitLines(fmt.Sprintf("%q on the screen", text), func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), text)
	})
}

// follow puts on the screen what the programs write.
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

// take interprets the first rune or sequence, and returns the number of its
// bytes, or 0 if some are missing. The caller holds mu.
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
			p.surprise(string(b[:end+1]))
		}
		return end + 1
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if r < ' ' || r == utf8.RuneError && n == 1 {
		p.surprise(string(b[:n]))
	}
	p.put(r)
	return n
}

func (p *Pty) surprise(text string) {
	if p.unknown == "" {
		p.unknown = text
	}
}

// put writes one rune; the last column is overwritten, for wrapping is off.
func (p *Pty) put(r rune) {
	if p.row >= len(p.cells) {
		return // of the size before
	}
	p.column = min(p.column, p.columns-1)
	for len(p.cells[p.row]) <= p.column {
		p.cells[p.row] = append(p.cells[p.row], Cell{Rune: ' '})
	}
	p.cells[p.row][p.column] = Cell{r, p.style}
	p.column++
}

// alternate changes to the alternate screen, which is empty, or back.
func (p *Pty) alternate(to bool) {
	if to {
		p.main, p.mainRow, p.mainColumn = p.cells, p.row, p.column
		p.cells = make([][]Cell, len(p.cells))
		return
	}
	rows := len(p.cells)
	p.cells, p.row, p.column = append(p.main, make([][]Cell, rows)...)[:rows], p.mainRow, p.mainColumn
}

// sequence obeys a control sequence, and says whether it is known.
func (p *Pty) sequence(parameters string, final byte) bool {
	switch {
	case final == 'm': // programs begin each style anew with 0
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
