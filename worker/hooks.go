package worker

// hooks are the optional interfaces of the program, resolved once.
type hooks struct {
	verify  Verifier
	process Processor
	failed  ErrorHandler
	timeout TimeoutHandler
	actions ServiceActions
	lame    []LameDucker
}

// hookValue returns what may implement hooks: Hooks, or else the one value
// that serves all connections.
func (o *Options) hookValue() any {
	switch {
	case o.Hooks != nil:
		return o.Hooks
	case o.Handler != nil:
		return o.Handler
	case o.Service != nil:
		return o.Service
	}
	return nil
}

func (o *Options) resolveHooks() hooks {
	var h hooks
	v := o.hookValue()
	h.verify, _ = v.(Verifier)
	h.process, _ = v.(Processor)
	h.failed, _ = v.(ErrorHandler)
	h.timeout, _ = v.(TimeoutHandler)
	h.actions, _ = v.(ServiceActions)
	if d, ok := v.(LameDucker); ok {
		h.lame = append(h.lame, d)
	}
	if d, ok := o.Service.(LameDucker); ok && o.Hooks != nil {
		h.lame = append(h.lame, d)
	}
	return h
}
