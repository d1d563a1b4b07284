package loadreport

import (
	"fmt"
	"html"
	"strings"
	"time"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// pageStyle colours the page and, in the dark, the drawing too.
const pageStyle = `
:root{color-scheme:light dark;--paper:#ffffff;--ink:#1f2328;--faint:#656d76;--rule:#d8dee4;--warn:#9a4b00;--warn-paper:#fff4e5;--bad:#c1121f}
body{margin:0 auto;max-width:1000px;padding:16px 20px 40px;background:var(--paper);color:var(--ink);font:14px/1.5 system-ui,"Segoe UI","DejaVu Sans",Helvetica,Arial,sans-serif}
svg{display:block;width:100%;height:auto;margin:0 0 24px}
h2{font-size:15px;margin:28px 20px 8px}.wide{overflow-x:auto;margin:0 20px}p.faint{margin:8px 20px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 14px 4px 0;border-bottom:1px solid var(--rule);text-align:right;font-weight:400;white-space:nowrap}
th{color:var(--faint)}th:first-child,td:first-child{text-align:left}
td.words{text-align:left;white-space:normal;overflow-wrap:anywhere}
.warning{background:var(--warn-paper);color:var(--warn);border-left:4px solid var(--warn);padding:8px 12px;margin:8px 0;font-weight:600}
.bad{color:var(--bad)}.faint{color:var(--faint)}
@media (prefers-color-scheme:dark){
:root{--paper:#0d1117;--ink:#e6edf3;--faint:#9198a1;--rule:#30363d;--warn:#f0b072;--warn-paper:#2b1d0e;--bad:#ff7b72}
svg text{fill:#c4ccd4}svg .paper{fill:#0d1117}svg .title,svg .head,svg .strong,svg .name{fill:#e6edf3}svg .faint{fill:#9198a1}svg .warn{fill:#f0b072}
svg .grid{stroke:#21262d}svg .axis{stroke:#656d76}svg .corrected,svg .p99{stroke:#58a6ff}svg .uncorrected{stroke:#f0883e}
svg .name{stroke:#0d1117}svg .rate{stroke:#3fb950}svg .rate-area{fill:#3fb950}svg .errors{fill:#ff7b72}
svg .mark{stroke:#b392f0}svg .badge{fill:#8957e5}svg .badge-text{fill:#ffffff}svg .mark-bad{stroke:#ff7b72}svg .badge-bad{fill:#da3633}
}
`

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
<style>%s</style>
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
