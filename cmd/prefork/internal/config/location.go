package config

// Locate reads of a file only what tells where its server's control socket is:
// the values of control and listen. Other keys may be wrong: a client must be
// able to reach the server whose file has a mistake.
func Locate(file string) (control string, listen []string, err error) {
	text, err := read(file)
	if err != nil {
		return "", nil, Problems{{File: file, What: err.Error()}}
	}
	c := Default()
	doc, problems := parseDocument(file, text)
	if len(problems) > 0 && (doc == nil || doc.line("control") == 0 && doc.line("listen") == 0) {
		// The broken part may be the one that is wanted.
		return "", nil, problems.sorted()
	}
	for _, k := range Keys() {
		if v, ok := doc.values[k.Key]; ok && (k.Key == "control" || k.Key == "listen") {
			if err := c.set(&k, v); err != nil {
				return "", nil, Problems{{File: file, Line: doc.line(k.Key), What: k.Key + ": " + err.Error()}}
			}
		}
	}
	return c.Control, c.Addresses(), nil
}
