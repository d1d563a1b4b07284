package loadreport

import (
	_ "embed" // for the style
	"fmt"
	"html"
	"strings"
	"time"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// pageStyle colours the page, and in dark mode the drawing too.
//
//go:embed plot_page.css
var pageStyle string

// htmlFile is a page: the warnings, the drawing, and the figures as tables. Its
// policy forbids it to load or run anything.
func htmlFile(r *load.Result) (string, error) {
	drawn, err := svg(r, false)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>load on %s</title>
<style>
%s</style>
</head>
<body>
`, escape(r.Target, 200), pageStyle)
	for i, w := range r.Generator.Warnings {
		if i == mostWarnings {
			break
		}
		fmt.Fprintf(&b, `<p class="warning">%s</p>`+"\n", escape(w, 400))
	}
	b.WriteString(drawn)
	pageFigures(&b, r)
	pageLatency(&b, r)
	pageMarks(&b, r)
	b.WriteString("</body>\n</html>\n")
	return b.String(), nil
}

func pageFigures(b *strings.Builder, r *load.Result) {
	b.WriteString("<h2>The run</h2>\n<div class=\"wide\"><table>\n")
	say := func(name, what string) {
		fmt.Fprintf(b, `<tr><th scope="row">%s</th><td class="words">%s</td></tr>`+"\n", name, html.EscapeString(what))
	}
	say("target", clean(r.Target, 300))
	say("plan", planText(r.Plan))
	if !r.Started.IsZero() {
		say("started", r.Started.UTC().Format(time.DateTime)+" UTC")
	}
	if r.Plan.Payload != "" {
		say("payload", clean(r.Plan.Payload, 200))
	}
	if r.Plan.Expect != "" {
		say("expected", clean(r.Plan.Expect, 200))
	}
	say("requests", fmt.Sprintf("%s/s in %s, %d in all", perSecond(r.RequestsPS), human.Duration(r.ElapsedS), r.Requests))
	say("errors", errorsText(r))
	say("traffic", fmt.Sprintf("%s in, %s out", human.Bytes(r.BytesIn), human.Bytes(r.BytesOut)))
	if r.Server != nil {
		say("server", serverText(r))
	}
	b.WriteString("</table></div>\n")
}

func pageLatency(b *strings.Builder, r *load.Result) {
	if r.Corrected.Count == 0 {
		return
	}
	b.WriteString("<h2>Latency</h2>\n<div class=\"wide\"><table>\n<tr><th scope=\"col\">percentile</th><th scope=\"col\">corrected</th><th scope=\"col\">uncorrected</th></tr>\n")
	for _, q := range points() {
		fmt.Fprintf(b, `<tr><th scope="row">%s</th><td>%s</td><td>%s</td></tr>`+"\n", q.name, human.Duration(q.of(&r.Corrected)), human.Duration(q.of(&r.Uncorrected)))
	}
	b.WriteString("</table></div>\n")
	if r.Correction != "" {
		fmt.Fprintf(b, `<p class="faint">corrected by %s</p>`+"\n", escape(r.Correction, 100))
	}
}

// mostMarksTabled bounds the table of a run with very many.
const mostMarksTabled = 1000

func pageMarks(b *strings.Builder, r *load.Result) {
	if len(r.Marks) == 0 {
		return
	}
	b.WriteString("<h2>What happened to the target</h2>\n<div class=\"wide\"><table>\n")
	for i, m := range marksOf(r) {
		if i == mostMarksTabled {
			fmt.Fprintf(b, `<tr><td></td><td></td><td class="words faint">and %d more</td></tr>`+"\n", len(r.Marks)-i)
			break
		}
		class := "words"
		if bad(m) {
			class += " bad"
		}
		fmt.Fprintf(b, `<tr><td>%d</td><td>%.2f s</td><td class="%s">%s</td></tr>`+"\n", i+1, m.AtS, class, html.EscapeString(markText(m, 500)))
	}
	b.WriteString("</table></div>\n")
}
