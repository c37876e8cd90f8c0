package gbdt

import (
	"math"
	"math/rand/v2"

	"fluxora.dev/shared/model"
)

const (
	maxBins    = 255 // bins of known values, 0…254
	missingBin = 255
	edgeSample = 200_000 // rows that the edges are taken from
)

// edges holds the borders between the bins of one feature: bin b holds values ≤ at[b], the last bin the rest.
type edges struct {
	at   []float32
	keys [256]int32 // of the borders, filled up so that a search takes eight steps whatever their number
}

// draw returns the rows that edges are taken from, ascending: one of each stretch, at a place drawn by chance, for a fixed
// stride would beat with the days of hourly rows.
func draw(n int) []int32 {
	rows := make([]int32, min(n, edgeSample))
	rng := rand.New(rand.NewPCG(uint64(n), 0x6564676573))
	for k := range rows {
		from, to := k*n/len(rows), (k+1)*n/len(rows)
		rows[k] = int32(from + rng.IntN(to-from))
	}
	return rows
}

// newEdges parts the values of feature f into bins of about equal weight, half-way between neighbours.
func newEdges(rows []float32, features, f int, sample []int32) *edges {
	keys := make([]int32, 0, len(sample))
	for _, r := range sample {
		if v := rows[int(r)*features+f]; v == v {
			keys = append(keys, model.Ordinal(min(max(v, -math.MaxFloat32), math.MaxFloat32)))
		}
	}
	sortKeys(keys)
	return borders(keys)
}

// borders returns the edges for sorted keys.
func borders(keys []int32) *edges {
	distinct := 0
	for i, k := range keys {
		if i == 0 || k != keys[i-1] {
			distinct++
		}
	}
	e := &edges{}
	if distinct <= maxBins {
		for i := 1; i < len(keys); i++ {
			if keys[i] != keys[i-1] {
				e.at = append(e.at, between(value(keys[i-1]), value(keys[i])))
			}
		}
	} else {
		for k := 1; k < maxBins; k++ {
			i := k * len(keys) / maxBins
			for i < len(keys) && i > 0 && keys[i] == keys[i-1] {
				i++
			}
			if i == 0 || i == len(keys) {
				continue
			}
			if m := between(value(keys[i-1]), value(keys[i])); len(e.at) == 0 || m > e.at[len(e.at)-1] {
				e.at = append(e.at, m)
			}
		}
	}
	for i := range e.keys {
		e.keys[i] = math.MaxInt32
		if i < len(e.at) {
			e.keys[i] = model.Ordinal(e.at[i])
		}
	}
	return e
}

// bins returns how many bins hold known values.
func (e *edges) bins() int { return len(e.at) + 1 }

// bin returns the bin of v: the first whose edge is not below it.
func (e *edges) bin(v float32) uint8 {
	if v != v {
		return missingBin
	}
	k := int64(model.Ordinal(v))
	at := uint8(0)
	for step := uint8(128); step > 0; step /= 2 {
		at += step & uint8((int64(e.keys[at+step-1])-k)>>63) // without a branch: which way is anyone's guess
	}
	return at
}

// between returns a number that is at least a and less than b.
func between(a, b float32) float32 {
	if m := a/2 + b/2; m >= a && m < b {
		return m
	}
	return a
}

// value is the inverse of model.Ordinal.
func value(k int32) float32 {
	return math.Float32frombits(uint32(k ^ int32(uint32(k>>31)>>1)))
}

// sortKeys sorts by radix, eleven bits at a time.
func sortKeys(keys []int32) {
	from, to := keys, make([]int32, len(keys))
	for shift := 0; shift < 33; shift += 11 {
		var count [2048]int
		digit := func(k int32) uint32 { return (uint32(k) ^ 1<<31) >> shift & 2047 }
		for _, k := range from {
			count[digit(k)]++
		}
		at := 0
		for d, c := range count {
			count[d] = at
			at += c
		}
		for _, k := range from {
			d := digit(k)
			to[count[d]] = k
			count[d]++
		}
		from, to = to, from
	}
	copy(keys, from)
}
