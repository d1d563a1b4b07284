package config

import (
	"fmt"
	"io"
	"slices"

	"prefork/worker/handlers"
)

// Write prints the configuration as a file that would have it, the handler's
// options included.
func (c Config) Write(w io.Writer) error {
	out := &printer{w: w}
	table := ""
	for _, k := range Keys() {
		if k.Table != table {
			table = k.Table
			out.printf("\n[%s]\n", table)
		}
		out.printf("%s = %s\n", k.Name, k.Text(&c))
	}
	spec, ok := handlers.Lookup(c.Handler)
	if !ok || len(spec.Options) == 0 {
		return out.err
	}
	out.printf("\n[%s] # of the handler %s\n", OptionsTable, c.Handler)
	for _, o := range spec.Options {
		text := o.DefaultText()
		if v, given := c.Options[o.Key]; given {
			text = optionText(v)
		}
		out.printf("%s = %s\n", o.Key, text)
	}
	return out.err
}

// optionText writes a value that the handler has accepted.
func optionText(v any) string {
	if s, ok := v.(string); ok {
		return quote(s)
	}
	return fmt.Sprint(v)
}

// printer keeps the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// TableNames returns the tables of Keys with the top as "", in order.
func TableNames() []string {
	var names []string
	for _, k := range Keys() {
		if !slices.Contains(names, k.Table) {
			names = append(names, k.Table)
		}
	}
	return names
}
