package loadreport

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"prefork/internal/load"
)

// latency returns a distribution of n answers around middle, with a tail of up to
// 100 ms.
func latency(middle time.Duration, n, stalled int) load.Latency {
	h := hdrhistogram.New(1, int64(time.Hour), 3)
	for i := range n {
		// A fixed spread with a long right side, from 0.6 to about 6 times the middle.
		part := float64(i) / float64(n)
		_ = h.RecordValue(int64(float64(middle) * (0.6 + 0.4*part + 0.02/(1.004-part))))
	}
	for i := range stalled {
		_ = h.RecordValue(int64(100*time.Millisecond) * int64(i+1) / int64(stalled))
	}
	return load.NewLatency(h)
}

// The distributions of aRun. They must not be changed.
var (
	stalled   = sync.OnceValue(func() load.Latency { return latency(80*time.Microsecond, 19000, 998) })
	unstalled = sync.OnceValue(func() load.Latency { return latency(80*time.Microsecond, 19988, 10) })
)

// aRun returns a fixed result of so many seconds. It has three reloads, of which
// one fails, and a worker's death that loses two answers.
func aRun(seconds int) *load.Result {
	const rate = 2000
	r := &load.Result{
		Version: load.ResultVersion, Target: "tcp://127.0.0.1:9999", Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Plan: load.Plan{Mode: "exchange", Connections: 64, Pipeline: 1, Rate: "2000/s", DurationS: float64(seconds), WarmupS: 1,
			TimeoutS: 5, Loops: 2, Payload: "64 bytes", Expect: "echo"},
		ElapsedS: float64(seconds), Connections: 66, BytesIn: 1279872, BytesOut: 1280000,
		Corrected: stalled(), Uncorrected: unstalled(),
		Correction: "intended send time",
		Errors:     map[load.Class]uint64{load.Reset: 1, load.Timeout: 1},
		Marks: []load.Mark{
			{AtS: 2.25, Kind: "reload", Text: "generation 2 took over"},
			{AtS: 2.375, Kind: "reload_failed", Text: "listen tcp://:80: permission denied"},
			{AtS: 5.5, Kind: "worker_death", Text: "slot 1 pid 4242: SIGSEGV"},
			{AtS: 7.125, Kind: "reload", Text: "generation 3 took over"},
		},
		Server:    &load.ServerCost{PIDs: []int{100, 101, 102}, CPUS: 0.1264, PerRequestUS: 6.32},
		Generator: load.Generator{CPUS: 0.25, BusyShare: 0.125, LateMaxS: 0.0004},
	}
	for i := range seconds {
		s := load.Second{AtS: float64(i), Requests: rate - uint64(i%3), Active: 64, P50S: 0.000065, P99S: 0.0002 + 0.00001*float64(i%5), MaxS: 0.002}
		if i == 5 {
			s.Requests, s.Errors, s.Active, s.P99S, s.MaxS = rate/2, 2, 62, 0.0913, 0.1
		}
		r.Series = append(r.Series, s)
		r.Requests += s.Requests
	}
	r.RequestsPS = float64(r.Requests) / r.ElapsedS
	return r
}

// hostile is text that an attacker might put into a mark or a target.
const hostile = "</text><script>alert('x')</script>\x1b[31m\x00\"&]]>\u202e\xff"

func hostileRun() *load.Result {
	r := aRun(10)
	r.Target = "http://127.0.0.1:1/" + hostile
	r.Plan.Rate, r.Plan.Payload, r.Plan.Expect, r.Plan.Mode = hostile, hostile, hostile, hostile
	r.Correction = hostile
	r.Generator.Warnings = []string{hostile}
	r.Marks = append(r.Marks, load.Mark{AtS: 3, Kind: hostile, Text: hostile})
	return r
}
