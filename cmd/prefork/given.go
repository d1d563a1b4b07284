package main

import "errors"

// given is a flag that names a file, a socket or a server. An empty value is
// refused: most likely a variable is not set, and the default is not meant.
type given string

// Set implements pflag.Value, as do the methods below.
func (g *given) Set(text string) error {
	if text == "" {
		return errors.New("it is empty; is a variable not set?")
	}
	*g = given(text)
	return nil
}

func (g *given) String() string { return string(*g) }

func (*given) Type() string { return "string" }
