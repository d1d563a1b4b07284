package value

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
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}, {"", 1},
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

// ParseSize reads a whole number of bytes, or a text of a whole number and a
// unit.
func ParseSize(raw any) (Size, error) {
	switch v := raw.(type) {
	case string:
		return sizeFromText(v)
	case int64:
		if v < 0 {
			return 0, fmt.Errorf("at least 0, not %d", v)
		}
		return Size(v), nil
	}
	return 0, Wrong(wantSize, raw)
}

const wantSize = `a size such as "64KiB" (B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB)`

func sizeFromText(text string) (Size, error) {
	for _, u := range sizeUnits {
		number, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil {
			break
		}
		high, low := bits.Mul64(n, u.bytes)
		if high != 0 {
			return 0, fmt.Errorf("size %q is more than 64 bits hold", text)
		}
		return Size(low), nil
	}
	return 0, Wrong(wantSize, text)
}
