package policy

import (
	"math/bits"
	"time"
)

// random is a small generator (SplitMix64, by Steele, Lea and Flood): what the
// machine does must depend on its seed alone.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n), or 0 if n is 0. Its bias is of no account
// at the sizes used here.
func (r *random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// around returns d give or take a fifth.
func (r *random) around(d time.Duration) time.Duration {
	fifth := d / 5
	return d - fifth + time.Duration(r.below(uint64(2*fifth)+1))
}
