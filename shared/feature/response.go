package feature

import (
	"math"
	"time"
)

const (
	// leastOfDay is the share of a day that must be known for the day to count in a response.
	leastOfDay = 0.5
	// calmDays pulls a response to zero as so many days would on which a change of 1 °C changed nothing: with few days, or
	// in steady weather, chance would else be taken for a response.
	calmDays = 7
)

// responseOf returns how the point's energy changed with the temperature in the weeks before the origin, in Wh an interval and
// °C: the slope, through zero, of changes of a day's mean energy from the week before against those of its temperature. It
// is NaN when no day can be compared.
func (b *Builder) responseOf(weeks int) float64 {
	both, squares, n := 0.0, 0.0, 0
	for k := 1; k <= 7*weeks; k++ {
		de := b.energyOf(k) - b.energyOf(k+7)
		dt := b.temperatureOf(k) - b.temperatureOf(k+7)
		if de != de || dt != dt {
			continue
		}
		both += float64(de * dt)
		squares += float64(dt * dt)
		n++
	}
	if n == 0 {
		return math.NaN()
	}
	return both / (squares + calmDays)
}

// energyOf returns the mean energy of the k-th 24 hours before the origin.
func (b *Builder) energyOf(k int) float64 {
	perDay := int(day / b.h.Resolution)
	m, known := meanOf(b.between(b.n-k*perDay, b.n-(k-1)*perDay))
	if float64(known) < leastOfDay*float64(perDay) {
		return math.NaN()
	}
	return m
}

// temperatureOf returns the mean temperature of the k-th 24 hours before the origin.
func (b *Builder) temperatureOf(k int) float64 {
	return b.sky.mean(measure{quantity: temperature}, b.origin.Add(-time.Duration(k-1)*day), day)
}
