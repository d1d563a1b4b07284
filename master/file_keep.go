package master

import "time"

// keep looks after a file by which others find this process, until the returned
// function is called: a cleaner of /tmp or the end of a login session may remove
// it. restore makes it anew if it is lost. report hears nil when it was restored,
// and the error when it could not be, once for each error. Both run on a
// goroutine of their own: the owner loop waits for no file system.
func keep(every time.Duration, restore func() (restored bool, err error), report func(error)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		reported := ""
		for {
			select {
			case <-ticker.C:
			case <-done:
				return
			}
			restored, err := restore()
			switch {
			case err == nil:
				reported = ""
				if restored {
					report(nil)
				}
			case err.Error() != reported:
				reported = err.Error()
				report(err)
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
