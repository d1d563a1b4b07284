package main

// metric is a quantity that suites measure.
type metric struct {
	name     string
	title    string // of its column; %s is the suite's unit
	decimals int
}

// The names of the metrics.
const (
	mCPU    = "cpu_us"
	mRate   = "per_second"
	mP50    = "p50_us"
	mP90    = "p90_us"
	mP99    = "p99_us"
	mP50ms  = "p50_ms"
	mP99ms  = "p99_ms"
	mMaxms  = "max_ms"
	mUser   = "user_kb"
	mKernel = "kernel_kb"
	mSkew   = "busiest_by_mean"
	mOver   = "busiest_over_mean"
	mWakes  = "wakes_per_accept"
	mIdle   = "wakes_per_second"
	mFaults = "page_faults"
)

// metrics in the order of a table's columns.
var metrics = []metric{
	{mCPU, "CPU µs per %s", 2},
	{mFaults, "page faults", 0},
	{mUser, "user memory, KB per %s", 2},
	{mKernel, "kernel memory, KB per %s", 2},
	{mSkew, "busiest ÷ mean", 2},
	{mOver, "busiest − mean", 1},
	{mWakes, "wake-ups per %s", 2},
	{mIdle, "wake-ups/s", 2},
	{mRate, "%ss/s", 0},
	{mP50, "p50 µs", 0},
	{mP90, "p90 µs", 0},
	{mP99, "p99 µs", 0},
	{mP50ms, "p50 ms", 2},
	{mP99ms, "p99 ms", 2},
	{mMaxms, "max ms", 2},
}

// quantiles are the metrics of times that were measured one by one.
var quantiles = map[string]float64{mP50ms: 0.50, mP99ms: 0.99, mMaxms: 1}

func metricOf(name string) (metric, bool) {
	for _, m := range metrics {
		if m.name == name {
			return m, true
		}
	}
	return metric{}, false
}
