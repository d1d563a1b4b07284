package logs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"prefork/internal/value"
)

const (
	Auto    = "auto"    // Console on a terminal, the journal's own form into the journal, else JSON
	Console = "console" // for people; in colour on a terminal
	JSON    = "json"    // one object a line
)

// Formats lists the valid formats.
func Formats() []string { return []string{Auto, Console, JSON} }

// Levels lists the valid levels, the most talkative first.
func Levels() []string { return []string{"debug", "info", "warn", "error"} }

// ParseLevel returns the level of a name in Levels; "" is info.
func ParseLevel(name string) (zapcore.Level, error) {
	if name == "" {
		return zapcore.InfoLevel, nil
	}
	i := slices.Index(Levels(), name)
	if i < 0 {
		return 0, fmt.Errorf("unknown log level %q: want %s", name, value.OneOf(Levels()))
	}
	return zapcore.DebugLevel + zapcore.Level(i), nil
}

// New makes a logger that writes to f, which stays the caller's and must stay
// open. An empty format is Auto, an empty level info; the level can be changed
// through the AtomicLevel. The logger may be used from any goroutine.
//
// Colours need a terminal, and neither NO_COLOR nor TERM=dumb in the
// environment (https://no-color.org).
func New(format, level string, f *os.File) (*zap.Logger, zap.AtomicLevel, error) {
	none := zap.AtomicLevel{}
	if format == "" {
		format = Auto
	}
	if !slices.Contains(Formats(), format) {
		return nil, none, fmt.Errorf("unknown log format %q: want %s", format, value.OneOf(Formats()))
	}
	parsed, err := ParseLevel(level)
	if err != nil {
		return nil, none, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, none, fmt.Errorf("open log: %w", err)
	}
	c := &core{level: zap.NewAtomicLevelAt(parsed), out: newSink(raw)}
	err = raw.Control(func(fd uintptr) {
		terminal := isTerminal(int(fd))
		if format == Console || format == Auto && terminal {
			c.enc = &console{colour: terminal && wantsColour()}
			return
		}
		c.enc = newJSON()
		if format == Auto {
			if value := os.Getenv("JOURNAL_STREAM"); isStream(int(fd), value) {
				c.stream = value
			}
		}
	})
	if err != nil {
		return nil, none, fmt.Errorf("open log: %w", err)
	}
	if c.stream != "" {
		if c.socket, err = dialJournal(journalSocket); err == nil {
			c.native = &console{native: filepath.Base(os.Args[0])}
		}
	}
	// zap would report a failed write to standard error, which is what failed;
	// the core counts lost lines instead.
	return zap.New(c, zap.ErrorOutput(zapcore.AddSync(io.Discard))), c.level, nil
}

func newJSON() encoder {
	return jsonLines{zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey:       "ts",
		LevelKey:      "level",
		NameKey:       "logger",
		MessageKey:    "msg",
		StacktraceKey: "stack",
		LineEnding:    "\n",
		EncodeLevel:   zapcore.LowercaseLevelEncoder,
		EncodeTime:    encodeUTC,
		// Inside objects and arrays; in fields jsonLines says it in the key.
		EncodeDuration: zapcore.SecondsDurationEncoder,
	})}
}

// encodeUTC writes the time of a JSON line: RFC 3339 with microseconds, in UTC
// so that the lines of several machines compare as text.
func encodeUTC(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

func wantsColour() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
