package settings

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is an amount of storage, written as 512KiB, 64MiB, 2GiB or a plain number of bytes.
type Bytes int64

var byteUnits = []struct {
	name string
	size int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// UnmarshalText parses an amount of storage.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.size {
			break
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return fmt.Errorf("%q is no amount of storage: want a whole number with a unit, as 64MiB", s)
}

// String returns the amount with the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range []int{2, 1, 0} {
		if int64(b) != 0 && int64(b)%byteUnits[u].size == 0 {
			return strconv.FormatInt(int64(b)/byteUnits[u].size, 10) + byteUnits[u].name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
