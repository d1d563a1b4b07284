package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
)

// Write prints the configuration as a file that would have it, the handler's
// options included.
func (c Config) Write(w io.Writer) error {
	var out bytes.Buffer
	table := ""
	for _, k := range Keys() {
		if k.Table != table {
			table = k.Table
			fmt.Fprintf(&out, "\n[%s]\n", table)
		}
		fmt.Fprintf(&out, "%s = %s\n", k.Key, c.Text(&k))
	}
	for i, o := range optionsOf(c.program) {
		if i == 0 {
			fmt.Fprintf(&out, "\n[%s] # of the handler %s\n", OptionsTable, c.Handler)
		}
		fmt.Fprintf(&out, "%s = %s\n", o.Key, text(&o, o.In(reflect.ValueOf(c.program).Elem())))
	}
	_, err := out.WriteTo(w)
	return err
}
