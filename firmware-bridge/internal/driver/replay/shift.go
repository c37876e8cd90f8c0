package replay

import (
	"math"
	"time"

	"fluxora.dev/shared/meter"
)

// ahead is how far past now a recording must reach.
const ahead = 8 * 24 * time.Hour

const weekMillis = int64(week / time.Millisecond)

// Shift returns by how many weeks a recording of [first, end) is moved for a backfill that begins at from, and whether it
// will be repeated because it is too short. The package comment has the rule.
func Shift(first, end, from, now meter.Millis) (weeks int, repeats bool) {
	least := ceilDiv(int64(now.Add(ahead)-end), weekMillis)  // the recording reaches far enough from this shift on
	most := floorDiv(int64(from-first), weekMillis)          // the backfill fits up to this shift
	const year = 365.2425 * 24 * 3600 * 1000 / (7 * 86400e3) // in weeks
	for y := math.Ceil(float64(least)/year - 1); y <= float64(most)/year+1; y++ {
		if w := int64(math.Round(y * year)); w >= least && w <= most {
			return int(w), false
		}
	}
	if least <= most {
		return int(least), false
	}
	return int(most), true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && a < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }
