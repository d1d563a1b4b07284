package config

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags collects the settings given on a command line. Bind it to a flag set
// before parsing; after that it does not change, and Load may read it from any
// goroutine.
type Flags struct {
	Deep bool // Load also opens what the handler would

	texts   map[string][]string // by key
	options map[string]string
	scratch Config // the values are tried here
}

// Bind adds a flag for each key, and --option for the handler's own. A value
// that cannot be read is an error of the command line at once; what it means
// is looked at in Load.
func (f *Flags) Bind(fs *pflag.FlagSet) {
	f.texts, f.options = map[string][]string{}, map[string]string{}
	for _, k := range Keys() {
		flag := fs.VarPF(&keyFlag{key: k, flags: f}, k.Flag(), "", k.Help)
		if k.Value == "BOOL" {
			flag.NoOptDefVal = "true"
		}
	}
	fs.Var((*optionFlag)(f), "option", "an option of the handler; repeatable")
}

// Given reports whether the key's flag was on the command line.
func (f *Flags) Given(key string) bool { return f != nil && len(f.texts[key]) > 0 }

// keyFlag is the pflag.Value of one key.
type keyFlag struct {
	key   Key
	flags *Flags
}

// Set notes one use of the flag.
func (v *keyFlag) Set(text string) error {
	if err := v.flags.scratch.set(&v.key, text); err != nil {
		return err
	}
	v.flags.texts[v.key.Key] = append(v.flags.texts[v.key.Key], text)
	return nil
}

// String returns the last text, or else the default.
func (v *keyFlag) String() string {
	if v.flags != nil {
		if texts := v.flags.texts[v.key.Key]; len(texts) > 0 {
			return texts[len(texts)-1]
		}
	}
	return strings.Trim(DefaultText(&v.key), `[]"`)
}

// Type returns the placeholder of the value in help texts.
func (v *keyFlag) Type() string { return v.key.Value }

// optionFlag is the pflag.Value of --option.
type optionFlag Flags

// Set notes one KEY=VALUE.
func (f *optionFlag) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("want KEY=VALUE")
	}
	f.options[name] = value
	return nil
}

// String returns the options in order of their names.
func (f *optionFlag) String() string {
	pairs := make([]string, 0, len(f.options))
	for _, name := range slices.Sorted(maps.Keys(f.options)) {
		pairs = append(pairs, name+"="+f.options[name])
	}
	return strings.Join(pairs, ",")
}

// Type returns the placeholder of the value in help texts.
func (f *optionFlag) Type() string { return "KEY=VALUE" }
