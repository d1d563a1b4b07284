package main

import (
	"errors"
	"math"
	"strconv"
	"sync"
)

// storeLimit bounds the size of one worker's store, in bytes.
const storeLimit = 64 << 20

// entryCost is the approximate overhead of a key, in bytes.
const entryCost = 96

// The errors of a store, with the messages of Redis.
var (
	errFull       = errors.New("OOM command not allowed when used memory > 'maxmemory'")
	errNotInteger = errors.New("ERR value is not an integer or out of range")
	errOverflow   = errors.New("ERR increment or decrement would overflow")
)

// store is one worker's keys. It may be used from any goroutine.
type store struct {
	limit int

	mu     sync.RWMutex // guards what follows
	values map[string][]byte
	used   int
}

func newStore(limit int) *store {
	return &store{limit: limit, values: make(map[string][]byte)}
}

// get returns the value of key, or nil. The caller must not change it.
func (s *store) get(key []byte) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.values[string(key)]
}

// set keeps a copy of value.
func (s *store) set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setLocked(key, append([]byte{}, value...))
}

func (s *store) setLocked(key, value []byte) error {
	old, found := s.values[string(key)]
	used := s.used + len(value) - len(old)
	if !found {
		used += len(key) + entryCost
	}
	if used > s.limit && used > s.used { // a smaller value is always accepted
		return errFull
	}
	s.values[string(key)], s.used = value, used
	return nil
}

// del removes key and reports whether it existed.
func (s *store) del(key []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.values[string(key)]
	if found {
		delete(s.values, string(key))
		s.used -= len(old) + len(key) + entryCost
	}
	return found
}

// incr adds one to the number at key, which is 0 if there is none.
func (s *store) incr(key []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	if old, found := s.values[string(key)]; found {
		var err error
		n, err = strconv.ParseInt(string(old), 10, 64)
		if err != nil || string(old) != strconv.FormatInt(n, 10) {
			return 0, errNotInteger
		}
	}
	if n == math.MaxInt64 {
		return 0, errOverflow
	}
	n++
	return n, s.setLocked(key, strconv.AppendInt(nil, n, 10))
}
