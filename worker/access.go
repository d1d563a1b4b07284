package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// The formats of the access log.
const (
	// AccessJSON is one JSON object a connection, written when it has ended.
	AccessJSON = "json"

	// AccessCommon is one line a request in the common log format. The Service
	// writes it, which must be an AccessLogger.
	AccessCommon = "common"
)

const (
	// maxRecord bounds a record, in bytes: what a pipe takes in one piece.
	maxRecord = 4096

	// maxAccessWriters bounds how many records are being written at once. Each
	// holds a thread while the disk, or who reads a pipe, does not answer.
	maxAccessWriters = 64

	// accessRecovery is for how long no record must have been lost before the log
	// hears that the trouble is over.
	accessRecovery = time.Second
)

var (
	errAccessNoFile = errors.New("the master has sent no file")
	errAccessBusy   = fmt.Errorf("%d records wait to be written already", maxAccessWriters)
	errAccessShort  = errors.New("only a part of a record was taken")
)

// accessLog is the AccessLog of one worker, for all its connections.
//
// All workers append to one file. A record is one write(2), so that records do
// not mix, neither in a file nor, as they are short, in a pipe. One that cannot
// be written is lost: no client waits for a disk. The worker's own log tells
// when that begins and when it is over.
type accessLog struct {
	format string
	sample float64
	prefix []byte // of each record: slot, pid and generation
	file   *accessFile
	log    *zap.Logger

	writers atomic.Int32 // in write
	partial atomic.Bool  // the last write ended in the midst of a record
	failing atomic.Bool  // and the log knows
	failed  atomic.Int64 // when a record was lost last, in ipc.Now's time
	lost    atomic.Uint64
}

// newAccessLog makes the log that w's configuration asks for, or nil.
func newAccessLog(w *worker) *accessLog {
	if !w.cfg.AccessLog {
		return nil
	}
	fixed := fmt.Appendf(nil, `,"slot":%d,"pid":%d,"generation":%d`, w.index, os.Getpid(), w.slot.Generation.Load())
	return &accessLog{format: w.cfg.AccessFormat, sample: w.cfg.AccessSample, prefix: fixed, file: &w.accessFile, log: w.log}
}

// Requests implements AccessLog. If it says no, record writes.
func (a *accessLog) Requests() bool { return a.format == AccessCommon }

// Wants implements AccessLog.
func (a *accessLog) Wants(failed bool) bool {
	return failed || a.sample >= 1 || rand.Float64() < a.sample
}

// Write implements AccessLog. It also takes the records of record.
func (a *accessLog) Write(line []byte) {
	if err := a.write(line); err != nil {
		a.failed.Store(ipc.Now())
		a.lost.Add(1)
		if !a.failing.Swap(true) {
			a.log.Warn("access log not written", zap.Error(err))
		}
		return
	}
	if a.failing.Load() && ipc.Now()-a.failed.Load() >= int64(accessRecovery) && a.failing.Swap(false) {
		a.log.Info("access log written again", zap.Uint64("lost", a.lost.Swap(0)))
	}
}

func (a *accessLog) write(line []byte) error {
	defer a.writers.Add(-1)
	if a.writers.Add(1) > maxAccessWriters {
		return errAccessBusy
	}
	if a.partial.Load() && a.partial.Swap(false) {
		line = append([]byte{'\n'}, line...)
	}
	n, err := a.file.append(line)
	if n > 0 && n < len(line) {
		a.partial.Store(true)
		if err == nil {
			err = errAccessShort
		}
	}
	return err
}

// accessFile is where records go. It is one descriptor for life: what the
// master sends later takes its place by dup3, so that a writer never meets a
// descriptor that is closed, or means something else by now.
type accessFile struct {
	fd     atomic.Int32 // 0 before the master has sent it
	socket atomic.Bool
}

// open takes ownership of fd.
func (f *accessFile) open(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("inspect access log: %w", err)
	}
	f.socket.Store(st.Mode&unix.S_IFMT == unix.S_IFSOCK)
	old := f.fd.Load()
	if old == 0 {
		f.fd.Store(int32(fd))
		return nil
	}
	err := unix.Dup3(fd, int(old), unix.O_CLOEXEC)
	_ = unix.Close(fd)
	if err != nil {
		return fmt.Errorf("replace access log: %w", err)
	}
	return nil
}

// append writes b in one piece. It waits for a disk, but not for somebody to
// read: the master's descriptors of pipes are non-blocking, and a socket is
// asked to be.
func (f *accessFile) append(b []byte) (n int, err error) {
	fd := int(f.fd.Load())
	if fd == 0 {
		return 0, errAccessNoFile
	}
	for {
		if f.socket.Load() {
			n, err = unix.SendmsgN(fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		} else {
			n, err = unix.Write(fd, b)
		}
		if err != unix.EINTR {
			return n, err
		}
	}
}

// close gives the descriptor back. Nobody may write any more.
func (f *accessFile) close() {
	if fd := f.fd.Swap(0); fd != 0 {
		_ = unix.Close(int(fd))
	}
}

// accessBuffers lends what records are put together in.
var accessBuffers = sync.Pool{New: func() any { return new([]byte) }}
