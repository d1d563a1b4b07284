package master

import "context"

// await runs f on its own goroutine and waits until it returns or ctx ends;
// then the error is the cause of ctx, and drop gets the value that f returns
// later.
func await[T any](ctx context.Context, f func() (T, error), drop func(T)) (value T, err error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		value, err := f()
		select {
		case done <- result{value, err}:
		case <-ctx.Done():
			if err == nil {
				drop(value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}
