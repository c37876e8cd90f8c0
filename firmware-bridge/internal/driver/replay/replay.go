package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fluxora.dev/firmware-bridge/internal/driver"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Options are what a replay needs beside the recording.
type Options struct {
	Backfill  time.Duration     // how far back the first start begins
	Every     time.Duration     // between live readings of a register
	Points    map[string]string // meter → point; a meter that is not in it gives its own name to its point
	StateFile string            // where the shift and the progress are kept; empty for nowhere
	Log       *slog.Logger
	Now       func() time.Time
}

// Driver plays recordings. Create it with New.
type Driver struct {
	o       Options
	series  []*Series
	state   state
	shift   meter.Millis
	grid    time.Duration // the finest resolution of the recordings: of backfills
	kept    time.Time     // when the state was last written
	pending []topic.Payload
}

// keepEvery is how often the progress is written while live: a restart repeats at most as much.
const keepEvery = time.Minute

// New returns a driver for the series, and settles the shift.
func New(series []*Series, o Options) (*Driver, error) {
	if len(series) == 0 {
		return nil, errors.New("replay: no meter is chosen")
	}
	if o.Every < 100*time.Millisecond {
		return nil, fmt.Errorf("replay: %s between live readings: want at least 100ms", o.Every)
	}
	d := &Driver{o: o, series: series, grid: series[0].Resolution}
	for _, s := range series {
		d.grid = min(d.grid, s.Resolution)
	}
	now := meter.MillisOf(o.Now())
	kept, err := readState(o.StateFile)
	if err != nil {
		o.Log.Warn("progress of the replay is lost: beginning anew", "error", err)
	}
	print := fingerprint(series, o.Points)
	if kept.Recording == print {
		d.state = kept
	} else {
		if kept.Recording != "" {
			o.Log.Warn("another recording or choice of meters than before: beginning anew")
		}
		d.state = state{Recording: print}
		first, end := series[0].Start, series[0].End()
		for _, s := range series {
			first, end = max(first, s.Start), min(end, s.End())
		}
		weeks, repeats := Shift(first, end, now.Add(-o.Backfill), now)
		d.state.Weeks = weeks
		if repeats {
			o.Log.Warn("the recording is too short for the backfill and eight days: its last whole weeks are repeated",
				"first", first.Time(), "end", end.Time(), "backfill", o.Backfill)
		}
	}
	d.shift = meter.Millis(int64(d.state.Weeks) * weekMillis)
	o.Log.Info("replay", "meters", len(series), "shift_weeks", d.state.Weeks, "recording_now", (now - d.shift).Time(), "resolution", d.grid)
	return d, nil
}

// Read returns what series i shows at an instant of today's time.
func (d *Driver) Read(i int, t meter.Millis) (int64, bool) { return d.series[i].Read(t - d.shift) }

// Run emits the backfill and then live readings, until ctx ends. When it was held up for long, it fills up again.
func (d *Driver) Run(ctx context.Context, sink driver.Sink) error {
	now := func() meter.Millis { return meter.MillisOf(d.o.Now()) }
	from := d.state.Done + 1
	if d.state.Done == 0 {
		from = now().Add(-d.o.Backfill)
	}
	err := d.play(ctx, sink, from, now)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *Driver) play(ctx context.Context, sink driver.Sink, from meter.Millis, now func() meter.Millis) error {
	behind := max(10*d.o.Every, 2*time.Minute)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := (from - 1).Floor(d.o.Every).Add(d.o.Every)
		if until := now(); until.Sub(from) > behind {
			if err := d.fill(ctx, sink, from, until); err != nil {
				return err
			}
			from = until + 1
			continue
		}
		timer.Reset(max(0, next.Sub(now())))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if now() < next { // the clock was set back
			continue
		}
		for i := range d.series {
			if err := d.emit(ctx, sink, i, next, next, d.o.Every); err != nil {
				return err
			}
		}
		from = next + 1
		if d.o.Now().Sub(d.kept).Abs() >= keepEvery {
			if err := d.keep(ctx, sink, next); err != nil {
				return err
			}
		}
	}
}

// fill emits one reading per recorded interval in [from, until]: for all meters together, so that they advance evenly.
func (d *Driver) fill(ctx context.Context, sink driver.Sink, from, until meter.Millis) error {
	started := d.o.Now()
	block := time.Duration(driver.MaxBatch) * d.grid
	for at := from; at <= until; {
		end := min(until, at.Add(block)-1)
		for i := range d.series {
			if err := d.emit(ctx, sink, i, at, end, d.series[i].Resolution); err != nil {
				return err
			}
		}
		if d.o.Now().Sub(d.kept).Abs() >= 5*time.Second || end == until {
			if err := d.keep(ctx, sink, end); err != nil {
				return err
			}
		}
		at = end + 1
	}
	d.o.Log.Info("filled", "from", from.Time(), "until", until.Time(), "took", d.o.Now().Sub(started).Round(time.Millisecond))
	return nil
}

// emit emits the readings of a series at every multiple of step in [from, until], if there are any. Steps of a recording
// are counted from its start.
func (d *Driver) emit(ctx context.Context, sink driver.Sink, i int, from, until meter.Millis, step time.Duration) error {
	s := d.series[i]
	offset := meter.Millis(0)
	if step == s.Resolution {
		offset = (s.Start + d.shift) - (s.Start + d.shift).Floor(step)
	}
	info, err := meter.LookupRegister(string(s.Register))
	if err != nil {
		return fmt.Errorf("replay %s: %w", s.Meter, err)
	}
	d.pending = d.pending[:0]
	for t := (from - 1 - offset).Floor(step).Add(step) + offset; t <= until; t = t.Add(step) {
		if v, ok := d.Read(i, t); ok {
			d.pending = append(d.pending, topic.Payload{At: t, Value: v, Meter: s.Meter, Kind: info.Kind})
		}
	}
	unit := "kWh"
	if info.Kind == meter.Power {
		unit = "W"
	}
	for rest := d.pending; len(rest) > 0; {
		n := min(len(rest), driver.MaxBatch)
		if err := sink.Emit(ctx, driver.Batch{Point: d.point(s), Register: s.Register, Unit: unit, Readings: rest[:n]}); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func (d *Driver) point(s *Series) string {
	if p, ok := d.o.Points[s.Meter]; ok {
		return p
	}
	return s.Meter
}

// keep writes the progress once everything up to it has arrived.
func (d *Driver) keep(ctx context.Context, sink driver.Sink, done meter.Millis) error {
	if err := sink.Flush(ctx); err != nil {
		return err
	}
	d.kept, d.state.Done = d.o.Now(), done
	if err := writeState(d.o.StateFile, d.state); err != nil {
		d.o.Log.Warn("progress of the replay is not kept: a restart will repeat readings", "error", err)
	}
	return nil
}
