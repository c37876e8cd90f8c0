package replay

import (
	"fmt"
	"hash/fnv"
	"math/bits"
	"time"

	"fluxora.dev/shared/meter"
)

// Series is the recording of one meter.
type Series struct {
	Meter      string
	Category   string
	Register   meter.Register
	Start      meter.Millis
	Resolution time.Duration
	sum        []int64 // sum[i] is the energy of the first i intervals, mWh
	missing    []bool  // nobody read the end of interval i
}

const week = 7 * 24 * time.Hour

// Len returns the number of intervals.
func (s *Series) Len() int { return len(s.missing) }

// End returns the end of the last interval.
func (s *Series) End() meter.Millis { return s.Start + meter.Millis(s.Len())*s.step() }

// Missing returns how many intervals have no energy.
func (s *Series) Missing() int {
	n := 0
	for _, m := range s.missing {
		if m {
			n++
		}
	}
	return n
}

func (s *Series) step() meter.Millis { return meter.Millis(s.Resolution.Milliseconds()) }

// period returns how many intervals at the end are repeated when the recording is over: whole weeks, or whole days of a
// recording shorter than a week, or all of it.
func (s *Series) period() int {
	for _, d := range []time.Duration{week, 24 * time.Hour} {
		n := int(d / s.Resolution)
		if k := s.Len() / n * n; k > 0 {
			return k
		}
	}
	return s.Len()
}

// locate returns which interval stands for the one that begins n steps after the start, and the energy before it.
func (s *Series) locate(n int64) (i int, before int64) {
	if n < int64(s.Len()) {
		return int(n), s.sum[n]
	}
	p := int64(s.period())
	first := int64(s.Len()) - p
	cycles, rest := (n-int64(s.Len()))/p, (n-int64(s.Len()))%p
	all := s.sum[s.Len()]
	return int(first + rest), all + cycles*(all-s.sum[first]) + s.sum[first+rest] - s.sum[first]
}

// Read returns what the meter shows at t, in mWh or mW, and whether it is read then: not before the recording, and
// neither within nor at the end of a missing interval.
func (s *Series) Read(t meter.Millis) (value int64, ok bool) {
	if t < s.Start || s.Len() == 0 {
		return 0, false
	}
	n, into := int64(t-s.Start)/int64(s.step()), int64(t-s.Start)%int64(s.step())
	i, before := s.locate(n)
	energy := s.sum[i+1] - s.sum[i]
	if into == 0 && n > 0 {
		if last, _ := s.locate(n - 1); s.missing[last] {
			return 0, false
		}
	} else if s.missing[i] {
		return 0, false
	}
	if info, err := meter.LookupRegister(string(s.Register)); err == nil && info.Kind == meter.Power {
		if s.missing[i] {
			return 0, false
		}
		return mulDiv(energy, time.Hour.Milliseconds(), int64(s.step())), true
	}
	return s.base() + before + mulDiv(energy, into, int64(s.step())), true
}

// base returns what the counter showed when the recording began: 1,000 to 60,999 kWh.
func (s *Series) base() int64 {
	h := fnv.New32a()
	h.Write([]byte(s.Meter))
	return int64(1000+h.Sum32()%60_000) * 1_000_000
}

// mulDiv returns a*b/c rounded down, for a ≥ 0 and 0 ≤ b ≤ 1000*c.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(q)
}

// newSeries returns a series of energies in mWh; negative ones are missing.
func newSeries(name string, register meter.Register, start meter.Millis, resolution time.Duration, energies []int64) *Series {
	s := &Series{Meter: name, Register: register, Start: start, Resolution: resolution, sum: make([]int64, 1, len(energies)+1)}
	for _, e := range energies {
		s.missing = append(s.missing, e < 0)
		s.sum = append(s.sum, s.sum[len(s.sum)-1]+max(0, e))
	}
	return s
}

// String describes the series for people.
func (s *Series) String() string {
	return fmt.Sprintf("%s %s %s to %s, %d intervals of %s, %d missing", s.Meter, s.Register, s.Start.Time().Format(time.RFC3339), s.End().Time().Format(time.RFC3339), s.Len(), s.Resolution, s.Missing())
}
