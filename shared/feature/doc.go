// Package feature turns the history of a point into the rows a model learns from and predicts from.
//
// It is the only feature code of Fluxora: the hub's training and backtest and the agent's forecast all call Builder.Row,
// so one history gives the same bits everywhere. It must not know any model, any database or any clock.
//
// Invariants, each kept by a test:
//   - No look-ahead. A row for an origin reads only intervals that end at or before the origin.
//   - Bounded reach. A row reads nothing older than Spec.Reach before the origin, so an agent that keeps that much
//     computes the same bits as a hub that keeps everything.
//   - Same bits. Only additions, divisions, square roots and unfused products are used, in a fixed order, and a missing
//     value is always the one canonical NaN, so amd64, arm64, 32-bit arm and mipsle agree to the last bit.
//   - Scale-free. Every energy is divided by Builder.Scale, the point's mean over the last 28 days, so that one model
//     serves a kiosk and a school, and a point it has never seen.
//   - Weather as it was known. Observed weather is read only of hours that have ended at the origin; what comes later is
//     read from a forecast that was issued by then (Weather).
//
// Periods follow the wall clock of the site: "day 1" of a target at 07:00 local is 07:00 local of the most recent day
// that is wholly known at the origin, also across the days of 23 and 25 hours. What a history, its site or its weather do not
// give is Missing: a spec may ask for more than is there.
//
// # Text form of a spec
//
// The first line names the format and the version of the meaning of all features; then one feature a line. STAT is mean, std,
// min, max, slope (change a period, for windows a day) or a quantile from q1 to q99; LENGTH is whole hours, as 24h.
//
//	fluxora-features 1
//	lead                 hours from the origin to the start of the target interval
//	step                 number of the target interval, from 1
//	day K [OFFSET]       energy K known days before the target at the same clock time, moved by OFFSET (as 1h, -1h)
//	week K [OFFSET]      the same in weeks
//	days STAT K          over day 1 … day K
//	weeks STAT K         over week 1 … week K
//	similar STAT K       over the K last days, of 28, of the target's kind (see kind), at the same clock time
//	shift K              mean of the K last days of the target's kind minus weeks mean K: how a holiday differs from such weekdays
//	window STAT LENGTH   over the LENGTH before the origin
//	level SHORT LONG     mean over SHORT minus mean over LONG before the origin
//	drift day K          day K minus the mean of the same clock time one, two and three weeks before it
//	drift week K         the same of week K
//	drift LENGTH         mean of that over the LENGTH before the origin
//	stray LENGTH         the same of its size
//	change K             day 1 minus the value K days before it
//	past K               mean over the K-th hour before the origin, the same for all targets
//	complete LENGTH      share of the LENGTH before the origin that is known
//	age LENGTH           hours from the first known value to the origin, at most LENGTH
//	size                 binary logarithm of the scale in W, straight between powers of two
//	fact NAME            what is known of the site under that name, as area_m2
//	hour, quarter, clock, weekday, weekend, yearday, season, half-season
//	                     local calendar of the target: hour 0–23, quarter of the hour 0–3, minute of the day, Monday 0 …
//	                     Sunday 6, 0 or 1, 1–366, days from mid July (0–183), days from mid October (0–183)
//
// Of holidays (package holiday), 1 or 0, Missing where the country is not known:
//
//	holiday              is the target's local date a holiday?
//	holiday before       is the date before it? (the target lies on the day after)
//	holiday after        is the date after it?
//	holiday day K        was the date that day K looks at?
//	holiday week K       was the date that week K looks at?
//	holidays near K      how many there are from K days before to K days after
//	bridge               is it a working day between two free ones?
//	free                 is it a holiday, a Saturday or a Sunday?
//	kind                 0 working day, 1 Saturday, 2 Sunday or holiday, 3 working day in a vacation, as far as these are known
//	vacation, vacation day K, vacation week K
//	                     the same of the site's vacations, Missing where they are not known
//
// Of the weather, Missing where it is not known:
//
//	temperature          of the target interval, in °C
//	temperature mean LENGTH   over the LENGTH up to the end of the target, in °C
//	temperature day K, temperature week K
//	                     at the time that day K, or week K, looks at
//	radiation …          global horizontal irradiance, in W/m², the same
//	cold BASE [LENGTH]   degree-hours an hour below BASE °C, of the target or over the LENGTH up to its end
//	warm BASE [LENGTH]   the same above BASE °C
//	warmer days K        temperature of the target minus its mean at day 1 … day K, in °C
//	warmer weeks K       the same of weeks
//	response K           energy that the temperature of the target calls for beyond that of weeks 1 to 4: warmer weeks 4 times the
//	                     Wh a °C by which the point's days changed against the week before, over the K weeks before the origin
//	forecast-age         hours from the issue of the forecast that the target's temperature is from to the origin, 0 if observed
package feature
