package human

// Painter puts colours on words, or leaves them as they are.
type Painter struct{ On bool }

// Bold returns s as a terminal shows it in bold type.
func (p Painter) Bold(s string) string { return p.code("1", s) }

// Dim returns s as a terminal shows it in a weaker colour.
func (p Painter) Dim(s string) string { return p.code("2", s) }

// Red returns s in red.
func (p Painter) Red(s string) string { return p.code("31", s) }

// Green returns s in green.
func (p Painter) Green(s string) string { return p.code("32", s) }

// Yellow returns s in yellow.
func (p Painter) Yellow(s string) string { return p.code("33", s) }

// None returns s as it is.
func (p Painter) None(s string) string { return s }

func (p Painter) code(sgr, s string) string {
	if !p.On || s == "" {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}
