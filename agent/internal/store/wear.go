package store

import (
	"sync"
	"time"
)

// wear counts what is written to flash, by the hour over the last day.
type wear struct {
	mu      sync.Mutex
	since   time.Time // the first note
	hours   [24]int64
	current int64 // the hour of the last note, since 1970

	perCommit   float64 // bytes of one, a moving average
	commitBytes [24]int64
	intake      [24]int64 // bytes that the readings take once carried, by the hour
}

// note counts n bytes written at now.
func (w *wear) note(now time.Time, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(now)
	w.hours[w.current%24] += n
}

// noteCommit counts an append that wrote n bytes, which are noted as well, of readings that take up size bytes.
func (w *wear) noteCommit(now time.Time, n, size int64) {
	w.note(now, n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commitBytes[w.current%24] += n
	w.intake[w.current%24] += size
	switch {
	case n == 0: // it went into the segment together with what is carried there
	case w.perCommit == 0:
		w.perCommit = float64(n)
	default:
		w.perCommit += (float64(n) - w.perCommit) / 64
	}
}

// turn begins the hour of now. A clock that was set back goes on in the hour it had; one that leapt forgets.
func (w *wear) turn(now time.Time) {
	hour := now.Unix() / 3600
	if w.since.IsZero() || hour > w.current+23 {
		w.since, w.current = now, hour
		clear(w.hours[:])
		clear(w.commitBytes[:])
		clear(w.intake[:])
	}
	for w.current < hour {
		w.current++
		w.hours[w.current%24], w.commitBytes[w.current%24], w.intake[w.current%24] = 0, 0, 0
	}
}

// rates returns what a day takes at the rate of the last day, or since the start if that is shorter: all bytes written,
// those written by appends, and those that readings take up in segments.
func (w *wear) rates(now time.Time) (all, appends, intake float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() {
		return 0, 0, 0
	}
	w.turn(now)
	covered := time.Duration(now.Unix()%3600)*time.Second + 23*time.Hour
	if since := now.Sub(w.since); since < covered {
		covered = max(since, 10*time.Minute) // what a start writes is not written every few seconds
	}
	scale := float64(24*time.Hour) / float64(covered)
	for i := range w.hours {
		all += float64(w.hours[i]) * scale
		appends += float64(w.commitBytes[i]) * scale
		intake += float64(w.intake[i]) * scale
	}
	return all, appends, intake
}
