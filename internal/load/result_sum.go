package load

import (
	"math"
	"time"

	"prefork/internal/value"
)

// maxShown bounds the payload in the Plan.
const maxShown = 120

func (r *Run) sum() *Result {
	elapsed := r.elapsed()
	t, whole := &r.collect.total, r.collect.whole
	failures := r.failures.snapshot()
	res := &Result{
		Version: ResultVersion, Target: r.plan.URL, Started: r.began.Add(time.Duration(r.windowBegins)), Plan: r.plan.summary(),
		ElapsedS: seconds(elapsed), Requests: t.requests, Errors: failures.Counts, Connections: t.connections,
		BytesIn: t.in, BytesOut: t.out, Series: r.collect.series, Standing: r.collect.stood,
		Examples: failures.Examples,
	}
	if elapsed > 0 {
		res.RequestsPS = float64(t.requests) / seconds(elapsed)
	}
	res.Uncorrected = NewLatency(whole.uncorrected)
	corrected := whole.corrected
	res.Correction = "intended send time"
	if corrected == nil {
		cycle := r.cycle(t, elapsed)
		corrected = newHistogram(fine)
		correct(corrected, whole.uncorrected, cycle)
		res.Correction = "expected interval " + value.RoundedText(time.Duration(cycle))
	}
	res.Corrected = NewLatency(corrected)
	res.Marks = r.marks.all()
	if res.Series == nil {
		res.Series = []Second{}
	}
	res.Server = r.usage.server(t.requests)
	res.Generator = r.generator(elapsed, res)
	return res
}

func (r *Run) elapsed() int64 {
	end := r.windowEnds.Load()
	if r.plan.Requests > 0 {
		last := int64(0)
		for _, l := range r.loops {
			last = max(last, l.finished)
		}
		if last > 0 && r.collect.total.made() >= r.plan.Requests {
			end = min(end, last)
		}
	}
	if end == math.MaxInt64 {
		end = int64(time.Since(r.began))
	}
	return max(end-r.windowBegins, 0)
}

// summary is the plan for people.
func (p *plan) summary() Plan {
	payload := string(p.Payload)
	if p.Payload == nil && !p.target.http {
		payload = "hello {n}\n"
	}
	expect := p.Expect
	if p.Reply != "" {
		expect = "reply:" + p.Reply
	}
	return Plan{
		Mode: string(p.Mode), Connections: p.Connections, Pipeline: p.Pipeline, Rate: p.Rate,
		DurationS: p.Duration.Seconds(), Limit: p.Requests, WarmupS: p.Warmup.Seconds(), TimeoutS: p.Timeout.Seconds(),
		Loops: p.Loops, Payload: cut(payload, maxShown), Expect: cut(expect, maxShown),
	}
}
