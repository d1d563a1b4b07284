package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
)

// readme is the document outside docs that quotes figures, from there.
const readme = "../README.md"

// quote is a figure in a sentence of the README: the number after the words.
type quote struct {
	words  string
	suite  string
	of, by string // rows; by is "" for a value
	metric string // "" is the suite's main metric
}

var quotes = []quote{
	{words: "an echo in mode `threading` takes ", suite: "echo-64", of: threading(2), by: goNet(2)},
	{words: "the same in mode `event` ", suite: "echo-64", of: event(2), by: goNet(2)},
	{words: "a connection with one line in mode `threading` ", suite: "churn", of: threading(2), by: goNet(2)},
	{words: "A worker is ready in ", suite: "spawn", of: spawnName, metric: mP50ms},
}

var figure = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?`)

// quoteIn writes the quoted figures into the text of the README.
func (r *report) quoteIn(text []byte) ([]byte, error) {
	var errs []error
	for _, q := range quotes {
		x, ok := r.measured(goal{Suite: q.suite, Of: q.of, By: q.by, Metric: q.metric})
		if !ok {
			errs = append(errs, fmt.Errorf("%s quotes %s of %q, which was not measured", readme, q.of, q.suite))
			continue
		}
		before, after, found := bytes.Cut(text, []byte(q.words))
		old := figure.Find(after)
		if !found || old == nil {
			errs = append(errs, fmt.Errorf("%s has no figure after %q", readme, q.words))
			continue
		}
		text = fmt.Appendf(nil, "%s%s%.2f%s", before, q.words, x.Median, after[len(old):])
	}
	return text, errors.Join(errs...)
}
