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
//
// Periods follow the wall clock of the site: "day 1" of a target at 07:00 local is 07:00 local of the most recent day
// that is wholly known at the origin, also across the days of 23 and 25 hours.
//
// # Text form of a spec
//
// The first line names the format and the version of the meaning of all features; then one feature a line:
//
//	fluxora-features 1
//	lead                 hours from the origin to the start of the target interval
//	day K [OFFSET]       energy K known days before the target at the same clock time, moved by OFFSET (as 1h, -1h)
//	week K [OFFSET]      the same in weeks
//	days STAT K          mean, std, min or max over day 1 … day K
//	weeks STAT K         the same over weeks
//	window STAT LENGTH   mean, std, min or max over the LENGTH before the origin (as 1h, 168h)
//	level SHORT LONG     mean over SHORT minus mean over LONG before the origin
//	drift day K          day K minus the mean of the same clock time one, two and three weeks before it
//	drift week K         the same of week K
//	drift LENGTH         mean of that over the LENGTH before the origin
//	stray LENGTH         the same of its size
//	change K             day 1 minus the value K days before it
//	complete LENGTH      share of the LENGTH before the origin that is known
//	age LENGTH           hours from the first known value to the origin, at most LENGTH
//	hour, quarter, clock, weekday, weekend, yearday, season, half-season
//	                     local calendar of the target: hour 0–23, quarter of the hour 0–3, minute of the day, Monday 0 …
//	                     Sunday 6, 0 or 1, 1–366, days from mid July (0–183), days from mid October (0–183)
package feature
