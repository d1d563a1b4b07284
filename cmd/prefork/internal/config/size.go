package config

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size uint64

var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// String returns the size in the largest binary unit that gives a whole number.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && uint64(s)%u.bytes == 0 {
			return strconv.FormatUint(uint64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(s), 10) + "B"
}

// parseSize reads a whole number with a unit; without one it is bytes.
func parseSize(s string) (Size, error) {
	number, unit := s, uint64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = n, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
	if err != nil {
		return 0, fmt.Errorf(`want a size such as "64KiB" (B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB), not %q`, s)
	}
	high, low := bits.Mul64(n, unit)
	if high != 0 {
		return 0, fmt.Errorf("size %q is more than 64 bits hold", s)
	}
	return Size(low), nil
}
