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
	// AccessJSON is one JSON object for each connection, when it has ended.
	AccessJSON = "json"

	// AccessCommon is one line for each request in the common log format. The
	// Service writes it and must be an AccessLogger.
	AccessCommon = "common"
)

const (
	// maxRecord is the most bytes that a pipe takes in one piece.
	maxRecord = 4096

	// maxAccessWriters limits the writes at once: each holds a thread.
	maxAccessWriters = 64

	// accessRecovery is the time without a lost record after which the access log
	// counts as written again.
	accessRecovery = time.Second
)

var (
	errAccessNoFile = errors.New("the master has not sent the file")
	errAccessBusy   = fmt.Errorf("%d records wait to be written already", maxAccessWriters)
	errAccessShort  = errors.New("only a part of a record was taken")
)

// accessLog is the AccessLog of a worker.
//
// All workers append to one file. A record is one write(2), so that records do not
// mix, neither in a file nor in a pipe. A record that cannot be written at once is
// lost, so that no client waits for a disk. The worker logs when that begins and
// ends.
type accessLog struct {
	format string
	sample float64
	worker []byte // slot, pid and generation, as a part of each record
	file   *accessFile
	log    *zap.Logger
	random func() float64 // for sample

	writers atomic.Int32 // calls of write at this moment
	partial atomic.Bool  // only a part of the last record was written
	failing atomic.Bool  // records are lost, and the log says so
	failed  atomic.Int64 // when the last record was lost, in ipc.Now's time
	lost    atomic.Uint64
}

// newAccessLog makes the log that w's configuration asks for, or nil.
func newAccessLog(w *worker) *accessLog {
	if !w.cfg.AccessLog {
		return nil
	}
	worker := fmt.Appendf(nil, `,"slot":%d,"pid":%d,"generation":%d`, w.index, os.Getpid(), w.slot.Generation.Load())
	a := &accessLog{format: w.cfg.AccessFormat, sample: w.cfg.AccessSample, worker: worker, file: &w.accessFile, log: w.log, random: rand.Float64}
	if w.forked { // else all children of the zygote would choose the same
		own := rand.New(rand.NewChaCha8(RandomSeed()))
		var mu sync.Mutex
		a.random = func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return own.Float64()
		}
	}
	return a
}

// Requests implements AccessLog.
func (a *accessLog) Requests() bool { return a.format == AccessCommon }

// recordsConnections says whether the worker writes a record for each connection. a
// may be nil.
func (a *accessLog) recordsConnections() bool { return a != nil && !a.Requests() }

// Wants implements AccessLog.
func (a *accessLog) Wants(failed bool) bool {
	return failed || a.sample >= 1 || a.random() < a.sample
}

// Write implements AccessLog. The worker's records go through it, too.
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

// accessFile is the file of the access log. Its descriptor never changes: dup3 puts
// a reopened file in its place, so that no writer uses a closed descriptor.
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

// append writes b in one piece. It does not wait for the reader of a pipe, which is
// non-blocking, or of a socket.
func (f *accessFile) append(b []byte) (n int, err error) {
	fd := int(f.fd.Load())
	if fd == 0 {
		return 0, errAccessNoFile
	}
	return ignoreEINTR(func() (int, error) {
		if f.socket.Load() {
			return unix.SendmsgN(fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		return unix.Write(fd, b)
	})
}

// close closes the descriptor. Nothing may be written any more.
func (f *accessFile) close() {
	if fd := f.fd.Swap(0); fd != 0 {
		_ = unix.Close(int(fd))
	}
}

// accessBuffers are the buffers of records.
var accessBuffers = sync.Pool{New: func() any { return new([]byte) }}
