package main

import (
	"io"
	"os"

	"prefork/cmd/prefork/internal/human"
	"prefork/cmd/prefork/internal/screen"
)

// painterFor returns one that paints if w is a terminal, unless the
// environment says no: NO_COLOR (no-color.org), or TERM=dumb.
func painterFor(w io.Writer) human.Painter {
	f, ok := w.(*os.File)
	return human.Painter{On: ok && screen.IsTerminal(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}
