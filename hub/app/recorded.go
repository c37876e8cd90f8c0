package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/recording"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
)

// RecordedBacktest says what of a recording is forecast, and by what. It needs no database.
type RecordedBacktest struct {
	Readings string // files, as package recording reads them
	Meters   string
	Weather  string
	Zone     string            // as Europe/Oslo
	Country  string            // as NO
	Weeks    int               // scored, of each meter
	Back     int               // weeks at the end of each meter left aside
	Origin   int               // hour (UTC) that is forecast from; negative: when a day begins by the zone's standard time
	Models   []string          // nil: all
	Offline  time.Duration     // how old the newest reading is at each origin; 0: none is missing
	Seen     time.Duration     // how much of its history a meter shows at an origin; 0: all
	Features string            // file of a feature spec; empty: the default
	Rows     int               // that a fit learns from at most; 0: the default
	Learn    int               // weeks before a fit that it learns from; 0: all there are
	Threads  int               // 0: as many as processors
	Keep     string            // file that every forecast is written to; empty: none
	Settings map[string]string // of the fits, by name, as TrainingSettings lists them
	Tell     func(string)
}

// RecordedReport is what a backtest of a recording found.
type RecordedReport = backtest.RecordedReport

// BacktestRecorded runs the day-ahead protocol on files.
func BacktestRecorded(ctx context.Context, o RecordedBacktest) (RecordedReport, error) {
	zone, err := time.LoadLocation(o.Zone)
	if err != nil || o.Zone == "" || o.Zone == "Local" {
		return RecordedReport{}, fmt.Errorf("zone %q: want a name of the tz database, as Europe/Oslo", o.Zone)
	}
	if o.Weeks < 1 || o.Weeks > 52 {
		return RecordedReport{}, fmt.Errorf("weeks %d: want 1 to 52", o.Weeks)
	}
	if o.Back < 0 || o.Back > 520 {
		return RecordedReport{}, fmt.Errorf("weeks back %d: want 0 to 520", o.Back)
	}
	if o.Learn < 0 || o.Learn > 5200 {
		return RecordedReport{}, fmt.Errorf("weeks to learn from %d: want 1 to 5200, or 0 for all", o.Learn)
	}
	if o.Offline < 0 || o.Offline > 28*24*time.Hour || o.Offline%(24*time.Hour) != 0 {
		return RecordedReport{}, fmt.Errorf("offline %s: want whole days, at most 28", o.Offline)
	}
	if o.Origin > 23 {
		return RecordedReport{}, fmt.Errorf("hour of origin %d: want 0 to 23", o.Origin)
	}
	params, err := fitted(o.Settings, train.Params{MaxRows: o.Rows, Threads: o.Threads})
	if err != nil {
		return RecordedReport{}, err
	}
	if o.Features != "" {
		text, err := os.ReadFile(o.Features)
		if err != nil {
			return RecordedReport{}, err
		}
		if params.Spec, err = feature.ParseSpec(string(text)); err != nil {
			return RecordedReport{}, fmt.Errorf("%s: %w", o.Features, err)
		}
	}
	d, notes, err := recording.Read(recording.Files{Readings: o.Readings, Meters: o.Meters, Weather: o.Weather, Zone: zone, Country: strings.ToUpper(o.Country)})
	if err != nil {
		return RecordedReport{}, err
	}
	if o.Tell != nil {
		o.Tell(fmt.Sprintf("%d meters, %d rows of %s, %d without a value, %d repeated", len(d.Points), notes.Rows, notes.Resolution, notes.Missing, notes.Repeated))
		if notes.NoHolidays != "" {
			o.Tell("no holidays are known of " + notes.NoHolidays + ": forecasts do without; known are " + strings.Join(holiday.Known(), " "))
		}
		if notes.Unusable > 0 {
			o.Tell(fmt.Sprintf("%d values are negative, not finite or over 1e9 and are taken as missing, as %s", notes.Unusable, strings.Join(notes.Lines, ", ")))
		}
		if len(notes.Left) > 0 {
			o.Tell("without a single value: " + strings.Join(notes.Left, ", "))
		}
		if len(notes.Unnamed) > 0 {
			o.Tell("not named in " + o.Meters + ": " + strings.Join(notes.Unnamed, ", "))
		}
		if notes.Weather > 0 {
			o.Tell(fmt.Sprintf("%d meters have weather as observed: it stands in for forecasts, and is better than any; %d values that cannot be are missing", notes.Weather, notes.Implausible))
		}
	}
	_, end := d.Range()
	at := backtest.OriginOf(zone, end.Time().Year())
	if o.Origin >= 0 {
		at = time.Duration(o.Origin) * time.Hour
	}
	protocol := backtest.DayAhead{Days: 7 * o.Weeks, At: at, Back: 7 * o.Back, Learn: 7 * o.Learn, Seen: o.Seen, Stale: o.Offline, Levels: forecast.DefaultLevels()}
	if o.Keep != "" {
		if protocol.Keep, err = backtest.NewForecastFile(o.Keep, protocol.Levels); err != nil {
			return RecordedReport{}, err
		}
	}
	r, err := backtest.Recorded{
		DayAhead: protocol,
		Models:   o.Models, Params: params, Tell: o.Tell,
	}.Run(ctx, d)
	if protocol.Keep != nil {
		err = errors.Join(err, protocol.Keep.Close(err == nil))
	}
	if errors.Is(err, train.ErrTooLittle) {
		return r, fmt.Errorf("%w; the baselines alone need less: --models %s,%s", err, backtest.Naive, backtest.FourWeek)
	}
	return r, err
}

// M4Backtest says what of a table of the M4 competition is forecast, and by what.
type M4Backtest struct {
	Train, Test     string // files
	Horizon, Season int
	Models          []string // nil: all
	Rows, Threads   int
	Settings        map[string]string // of the fits, by name, as TrainingSettings lists them
	Tell            func(string)
}

// M4Report is what a backtest of such a table found.
type M4Report = backtest.M4Report

// BacktestM4 forecasts the end of each series of a table and scores as the competition did.
func BacktestM4(ctx context.Context, o M4Backtest) (M4Report, error) {
	params, err := fitted(o.Settings, train.Params{MaxRows: o.Rows, Threads: o.Threads})
	if err != nil {
		return M4Report{}, err
	}
	in, err := recording.ReadWide(o.Train)
	if err != nil {
		return M4Report{}, err
	}
	out, err := recording.ReadWide(o.Test)
	if err != nil {
		return M4Report{}, err
	}
	return backtest.M4{
		Train: in, Test: out, Horizon: o.Horizon, Season: o.Season, Models: o.Models,
		Params: params, Tell: o.Tell,
	}.Run(ctx)
}

// fitted returns p with settings of the fits of a backtest. What the protocol says they cannot change.
func fitted(settings map[string]string, p train.Params) (train.Params, error) {
	for _, name := range []string{"family", "members", "horizon", "levels", "warm_start"} {
		if v, given := settings[name]; given {
			return p, fmt.Errorf("setting %s=%s: a backtest of files takes it from its protocol and --models", name, v)
		}
	}
	return train.Apply(p, settings)
}
