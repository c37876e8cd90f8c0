package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

const oneDay = 24 * time.Hour

// day is the intervals of a stream that start in one UTC day, ascending.
type day []interval.Interval

// put adds or replaces an interval.
func (d day) put(i interval.Interval) day {
	at, found := slices.BinarySearchFunc(d, i.Start, func(x interval.Interval, start meter.Millis) int { return int(x.Start - start) })
	if found {
		d[at] = i
		return d
	}
	return slices.Insert(d, at, i)
}

// cut removes the intervals that start at or after from.
func (d day) cut(from meter.Millis) day {
	return slices.DeleteFunc(d, func(i interval.Interval) bool { return i.Start >= from })
}

const dayVersion = 1

// encode packs a day: version, then for each interval the minutes since the one before (since midnight for the first),
// quality and recovered in one byte, and the energy in Wh; a quarter of an hour takes four bytes or so.
func (d day) encode() []byte {
	b := []byte{dayVersion}
	if len(d) == 0 {
		return b
	}
	at := d[0].Start.Floor(oneDay)
	for _, i := range d {
		b = binary.AppendUvarint(b, uint64(i.Start.Sub(at)/time.Minute))
		flags := byte(i.Quality) << 1
		if i.Recovered {
			flags |= 1
		}
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(i.Energy))
		at = i.Start
	}
	return b
}

var errDay = errors.New("damaged day of intervals")

func decodeDay(midnight meter.Millis, b []byte) (day, error) {
	if len(b) == 0 || b[0] != dayVersion {
		return nil, fmt.Errorf("%w: want version %d", errDay, dayVersion)
	}
	var d day
	at := midnight
	for b = b[1:]; len(b) > 0; {
		minutes, n := binary.Uvarint(b)
		if n <= 0 || n >= len(b) || minutes > 24*60 || len(d) > 0 && minutes == 0 {
			return nil, fmt.Errorf("%w: start", errDay)
		}
		flags := b[n]
		energy, m := binary.Uvarint(b[n+1:])
		if m <= 0 || energy > 1<<62 || !meter.Quality(flags>>1).Valid() {
			return nil, fmt.Errorf("%w: energy or quality", errDay)
		}
		at = at.Add(time.Duration(minutes) * time.Minute)
		if at >= midnight.Add(oneDay) {
			return nil, fmt.Errorf("%w: an interval of another day", errDay)
		}
		d = append(d, interval.Interval{Start: at, Energy: meter.WattHours(energy), Quality: meter.Quality(flags >> 1), Recovered: flags&1 != 0})
		b = b[n+1+m:]
	}
	return d, nil
}
