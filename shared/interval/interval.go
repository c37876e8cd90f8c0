package interval

import "fluxora.dev/shared/meter"

// Interval is the energy used in [Start, Start+resolution).
type Interval struct {
	Start     meter.Millis
	Energy    meter.WattHours
	Quality   meter.Quality
	Recovered bool // the energy is real, its timing within a gap is guessed: billed, not learnt from
}
