package master

import "context"

// await runs f on a goroutine of its own and waits for it until ctx ends, whose
// cause is then the error. A value that f returns after that goes to drop.
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
