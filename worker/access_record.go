package worker

import (
	"context"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// The outcomes of a connection, as its record names them.
const (
	outcomeOK       = "ok"
	outcomeFailed   = "failed"   // the handler returned an error, or called runtime.Goexit
	outcomePanic    = "panic"    // the handler panicked
	outcomeTimeout  = "timeout"  // a timeout of the configuration, or a deadline of the handler
	outcomeRejected = "rejected" // by verify_request
	outcomeCut      = "cut"      // closed by the worker: at a drain's deadline, or a stop
	outcomeReset    = "reset"    // the client has reset the connection
)

// CountRequest counts one request of the connection, for its record in the
// access log. A handler or a Service whose protocol has requests may call it.
func (c *Conn) CountRequest() { c.requests.Add(1) }

// noteError remembers whether err is a reset.
func (c *Conn) noteError(err error) {
	if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		c.peerReset.Store(true)
	}
}

// recordHandled records a connection that a Handler has served.
func (w *worker) recordHandled(c *Conn, err error) {
	if !w.table.access.recordsConnections() {
		return
	}
	outcome := outcomeOK
	switch {
	case isClean(err) && !c.wasCut.Load():
	case panicked(err):
		outcome = outcomePanic
	default:
		outcome = c.outcome(context.Cause(w.ctx) != nil, outcomeFailed)
		if timedOut(err) && outcome == outcomeFailed {
			outcome = outcomeTimeout
		}
	}
	w.table.access.record(c, outcome, err)
}

// recordServed records a connection that a Service has closed.
func (t *connTable) recordServed(c *Conn) {
	if t.access.recordsConnections() {
		t.access.record(c, c.outcome(false, outcomeOK), nil)
	}
}

// outcome says what else than the handler has ended the connection, or otherwise.
func (c *Conn) outcome(abandoned bool, otherwise string) string {
	limit := c.table.cfg.HandlerTimeout
	switch {
	case limit > 0 && c.wasCut.Load() && ipc.Now()-c.acceptedAt >= int64(limit), c.hadIdleTimeout():
		return outcomeTimeout
	case abandoned || c.wasCut.Load():
		return outcomeCut
	case c.peerReset.Load():
		return outcomeReset
	}
	return otherwise
}

// hadIdleTimeout says whether Config.IdleTimeout has ended the connection.
func (c *Conn) hadIdleTimeout() bool {
	if c.table.cfg.IdleTimeout <= 0 {
		return false
	}
	if c.stream == nil {
		return c.event.idled
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle == idleTooLong
}

func panicked(err error) bool {
	_, ok := errors.AsType[*PanicError](err)
	return ok
}

func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// The longest texts of a record in bytes, escapes included. Together they are
// shorter than maxRecord.
const (
	recordAddress = 512
	recordError   = 2048
)

// recordTime has a fixed width, so that records sort as text.
const recordTime = "2006-01-02T15:04:05.000000Z"

// record writes the record of c, if it is one of the sample.
func (a *accessLog) record(c *Conn, outcome string, err error) {
	if !a.Wants(outcome != outcomeOK) {
		return
	}
	buf := accessBuffers.Get().(*[]byte)
	defer accessBuffers.Put(buf)
	*buf = a.appendRecord((*buf)[:0], c, outcome, err)
	a.Write(*buf)
}

// appendRecord writes JSON without encoding/json, so that a record costs no garbage.
func (a *accessLog) appendRecord(b []byte, c *Conn, outcome string, err error) []byte {
	age := time.Duration(ipc.Now() - c.acceptedAt)
	b = append(b, `{"time":"`...)
	b = time.Now().UTC().AppendFormat(b, recordTime)
	b = append(b, `","listener":`...)
	b = appendText(b, c.listener.name, recordAddress)
	b = append(b, `,"remote":`...)
	b = c.appendRemote(b)
	b = append(b, a.worker...)
	b = append(b, `,"duration_s":`...)
	b = strconv.AppendFloat(b, age.Seconds(), 'f', 6, 64)
	b = append(b, `,"bytes_in":`...)
	b = strconv.AppendUint(b, c.bytesIn.Load(), 10)
	b = append(b, `,"bytes_out":`...)
	b = strconv.AppendUint(b, c.bytesOut.Load(), 10)
	if n := c.requests.Load(); n > 0 {
		b = append(b, `,"requests":`...)
		b = strconv.AppendUint(b, n, 10)
	}
	b = append(b, `,"outcome":"`...)
	b = append(b, outcome...)
	b = append(b, '"')
	if outcome != outcomeOK && err != nil {
		b = append(b, `,"error":`...)
		b = appendText(b, errorText(err), recordError)
	}
	return append(b, '}', '\n')
}

// errorText is err's text. It is the program's code, and may panic.
func errorText(err error) (text string) {
	if perr := catchPanic(func() error { text = err.Error(); return nil }); perr != nil {
		return perr.Error()
	}
	return text
}

// appendRemote appends the client's address as JSON, without garbage.
func (c *Conn) appendRemote(b []byte) []byte {
	if addr, ok := addrPort(c.remote); ok {
		return append(addr.AppendTo(append(b, '"')), '"')
	}
	return appendText(b, c.RemoteAddr().String(), recordAddress)
}

// appendText appends s as a JSON string of at most limit bytes. It escapes what
// could end the record, and control characters.
func appendText(b []byte, s string, limit int) []byte {
	const hex = "0123456789abcdef"
	const reserve = len(`\u0000…"`)
	b = append(b, '"')
	end := len(b) + limit
	for i, r := range s {
		if len(b)+reserve > end {
			b = append(b, "…"...)
			break
		}
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029':
			b = append(b, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		case r == utf8.RuneError:
			b = append(b, `\ufffd`...)
		default:
			b = append(b, s[i:i+utf8.RuneLen(r)]...)
		}
	}
	return append(b, '"')
}
