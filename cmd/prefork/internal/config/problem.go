package config

import (
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong.
type Problem struct {
	File string // "" if a flag is at fault
	Line int    // from 1; 0 if the file as a whole is
	What string
}

// String returns `file:line: what`, less what is not known.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.What
	case p.Line == 0:
		return p.File + ": " + p.What
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ": " + p.What
}

// Problems is everything that is wrong, as one error: flags first, then the
// file by line.
type Problems []Problem

// Error returns one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Usage reports whether flags alone are at fault.
func (ps Problems) Usage() bool {
	return !slices.ContainsFunc(ps, func(p Problem) bool { return p.File != "" })
}

// sorted returns the problems in the order in which they are printed, or nil if
// there are none.
func (ps Problems) sorted() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return ps
}
