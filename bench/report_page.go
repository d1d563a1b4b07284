package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The files that -write writes, in the directory of the documents.
const (
	pageFile  = "benchmarks.md"
	rawFile   = "benchmarks.json"
	imagesDir = "img"
	imageName = "bench-%s.svg"
)

// A block of the page is written by this program; the text around it is not.
// Its first line names what it shows: goals, runs, or figures.
var block = regexp.MustCompile(`(?s)(<!-- bench: ([a-z0-9 -]+?) -->\n).*?(<!-- end of bench -->)`)

// writeDocs merges the report into the raw file of a directory, and renders the
// page, its images and what the README quotes from it. It also writes what is not
// complete, and returns what is missing.
func (r *report) writeDocs(dir string) error {
	all := report{Format: format}
	raw := filepath.Join(dir, rawFile)
	if _, err := os.Stat(raw); err == nil {
		if all, err = readReports([]string{raw}); err != nil {
			return err
		}
	}
	all.merge(*r)
	files, incomplete := all.documents(dir)
	if len(files) == 0 {
		return incomplete
	}
	if err := all.writeFile(raw); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o644); err != nil {
			return err
		}
	}
	return incomplete
}

// documents returns the files that the report gives, by name from dir, or none if
// it cannot read those that it changes.
func (r *report) documents(dir string) (map[string][]byte, error) {
	page, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, readme))
	if err != nil {
		return nil, err
	}
	files, err := r.render(page)
	text, errQuotes := r.quoteIn(text)
	files[readme] = text
	return files, errors.Join(err, errQuotes)
}

// render returns the page with its blocks written anew and the images, by name.
func (r *report) render(page []byte) (map[string][]byte, error) {
	files := map[string][]byte{}
	shown := map[string]bool{}
	var errs []error
	page = block.ReplaceAllFunc(page, func(old []byte) []byte {
		parts := block.FindSubmatch(old)
		var b strings.Builder
		switch what := string(parts[2]); what {
		case "goals":
			writeGoals(&b, r)
		case "runs":
			r.writeRuns(&b)
		default:
			names := strings.Fields(what)
			for i := range r.Suites {
				s := &r.Suites[i]
				if !slices.ContainsFunc(names, s.belongsTo) {
					continue
				}
				shown[s.Name] = true
				s.writeSection(&b)
				if s.hasChart() {
					files[s.image()] = []byte(s.chart())
				}
			}
			for _, name := range names {
				if !slices.ContainsFunc(r.Suites, func(s suite) bool { return s.belongsTo(name) }) {
					fmt.Fprintf(&b, "`%s` was not measured yet.\n\n", name)
				}
			}
		}
		return slices.Concat(parts[1], []byte("\n"+strings.TrimSpace(b.String())+"\n\n"), parts[3])
	})
	for _, s := range r.Suites {
		if !shown[s.Name] {
			errs = append(errs, fmt.Errorf("suite %q belongs to no block of %s", s.Name, pageFile))
		}
	}
	files[pageFile] = page
	return files, errors.Join(append(errs, r.checkNotes(page)...)...)
}

// belongsTo says that the suite is one of the figure's.
func (s suite) belongsTo(figure string) bool { return belongs(s.Name, figure) }

func (s *suite) hasChart() bool { return len(s.Rows)+len(s.Curves) > 0 }

func (s *suite) image() string { return filepath.Join(imagesDir, fmt.Sprintf(imageName, s.Name)) }

func (s *suite) heading() string { return s.Name + ": " + s.Title }

// sentence makes one of a text that a suite has without a capital and a point.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}

func (s *suite) writeSection(b *strings.Builder) {
	fmt.Fprintf(b, "### %s\n\n", s.Name)
	if s.hasChart() {
		fmt.Fprintf(b, "![%s](%s)\n\n", s.heading(), s.image())
	}
	if s.Load != "" {
		b.WriteString(sentence(s.Load) + "\n\n")
	}
	if s.hasChart() {
		b.WriteString("<details><summary>Table</summary>\n\n")
		s.writeTable(b)
		s.writeRatios(b)
		b.WriteString("</details>\n\n")
	}
	s.writeNotes(b)
}

// writeRuns lists the machines, and what was measured on each.
func (r *report) writeRuns(b *strings.Builder) {
	var machines []string
	suites := map[string][]string{}
	for _, s := range r.Suites {
		text := s.Run.describe()
		if !slices.Contains(machines, text) {
			machines = append(machines, text)
		}
		suites[text] = append(suites[text], s.Name)
	}
	for _, text := range machines {
		if len(machines) == 1 {
			b.WriteString(text + "\n")
			continue
		}
		fmt.Fprintf(b, "- %s: %s\n", strings.Join(suites[text], ", "), text)
	}
}

func (p *provenance) describe() string {
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(p.Versions)) {
		versions = append(versions, name+" "+p.Versions[name])
	}
	return fmt.Sprintf("%s, %d processors (%s), Linux %s; %s.", p.day(), p.Processors, p.Machine, p.Kernel, strings.Join(versions, ", "))
}

func (p *provenance) day() string { return p.Date[:min(len("2006-01-02"), len(p.Date))] }

// checkNotes compares the goals that are missed with the notes of the page,
// which explain them: lists that begin with the bold name of the item.
func (r *report) checkNotes(page []byte) []error {
	var errs []error
	for _, g := range goals {
		x, ok := r.measured(g)
		missed := ok && g.verdict(x) == verdictMissed
		if noted := bytes.Contains(page, []byte("\n- **"+g.Item+"**")); noted != missed {
			text := "is missed, and " + pageFile + " has no note on it"
			if noted {
				text = "is not missed, and " + pageFile + " has a note on it"
			}
			errs = append(errs, fmt.Errorf("goal %q %s", g.Item, text))
		}
	}
	return errs
}
