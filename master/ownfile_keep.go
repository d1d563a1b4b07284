package master

import (
	"time"

	"go.uber.org/zap"
)

// ownFiles are the files by which others find the master. A cleaner of /tmp or
// the end of a login session may remove them.
type ownFiles struct {
	pid     *pidFile       // nil if there is none
	control *controlSocket // likewise

	pidError, controlError string // of the last look
}

// keep looks after the files until the returned function is called. It does so
// on a goroutine of its own: the owner loop waits for no file system.
func (m *Master) keep(o *ownFiles) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(m.base.Policy.SampleInterval)
	go func() {
		defer close(ended)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				o.look(m.log)
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// look restores what is lost. What it cannot restore, such as a control socket
// in whose place another server's is, is told once.
func (o *ownFiles) look(log *zap.Logger) {
	if o.control != nil {
		restored, err := o.control.restore()
		if restored {
			log.Warn("control socket restored", zap.String("path", o.control.address.Path))
		} else if isNews(err, &o.controlError) {
			log.Warn("control socket not restored", zap.Error(err))
		}
	}
	if o.pid != nil {
		restored, err := o.pid.restore()
		if restored {
			log.Warn("pid file restored", zap.String("path", o.pid.path))
		} else if isNews(err, &o.pidError) {
			log.Warn("pid file not restored", zap.Error(err))
		}
	}
}

// isNews says whether err is another one than that of the last look.
func isNews(err error, last *string) bool {
	var text string
	if err != nil {
		text = err.Error()
	}
	news := text != "" && text != *last
	*last = text
	return news
}
