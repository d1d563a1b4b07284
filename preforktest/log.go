package preforktest

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"prefork"
)

// newLog returns srv.Logger, or a logger with srv.LogLevel that writes to the
// test's log.
func newLog(tb testing.TB, srv *prefork.Server) *zap.Logger {
	tb.Helper()
	if srv.Logger != nil {
		return srv.Logger
	}
	level := zapcore.InfoLevel
	if srv.LogLevel != "" {
		var err error
		if level, err = zapcore.ParseLevel(srv.LogLevel); err != nil {
			tb.Fatalf("preforktest: %v", err)
		}
	}
	encoder := zap.NewDevelopmentEncoderConfig()
	encoder.EncodeTime = zapcore.TimeEncoderOfLayout(time.StampMilli)
	out := &testLog{tb: tb}
	tb.Cleanup(out.end)
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), out, level))
}

// testLog writes to a test's log until the test has ended. Package testing
// panics if a handler that outlives its test writes later.
type testLog struct {
	mu sync.Mutex // guards tb
	tb testing.TB // nil when the test has ended
}

func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tb != nil {
		return l.tb.Output().Write(line)
	}
	return len(line), nil
}

// Sync does nothing.
func (*testLog) Sync() error { return nil }

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tb = nil
}
