package loadreport

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"prefork/internal/load"
)

// Plot draws the run into a file, as an SVG or, with its tables, as an HTML
// page: the name's extension says which. Both need no other file and run no
// script. The file appears whole or not at all, and replaces one that is there.
func Plot(path string, r *load.Result) error {
	var draw func(*load.Result) (string, error)
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".svg":
		draw = svgFile
	case ".html", ".htm":
		draw = htmlFile
	default:
		return fmt.Errorf("plot %s: its name must end in .svg or .html, not %q", path, extension)
	}
	text, err := draw(r)
	if err != nil {
		return fmt.Errorf("plot %s: %w", path, err)
	}
	if err := writeWhole(path, text); err != nil {
		return fmt.Errorf("plot %s: %w", path, err)
	}
	return nil
}

// writeWhole writes a temporary file in the same directory and renames it to path.
// Unlike that of os.CreateTemp its mode depends on the umask.
func writeWhole(path, text string) error {
	temporary := filepath.Join(filepath.Dir(path), fmt.Sprintf(".prefork-plot-%d-%x", os.Getpid(), rand.Uint64()))
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary) // the first error is returned
	}
	return err
}
