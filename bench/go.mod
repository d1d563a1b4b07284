module prefork/bench

go 1.26.0

require (
	golang.org/x/sys v0.49.0
	prefork v0.0.0
)

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.uber.org/zap v1.28.0 // indirect
)

replace prefork => ../
