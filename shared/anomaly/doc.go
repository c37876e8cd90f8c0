// Package anomaly finds days and hours of a point that are out of the ordinary, and says why in words that a person
// understands.
//
// It must not know where histories and forecasts come from, nor who is told. Agent and hub run the same code.
//
// There are two ways to be found. A day is judged by its shape: how it departs from what is usual on such days of the last
// weeks, as a handful of numbers without units, by an isolation forest (Liu, Ting and Zhou, Isolation forest, 2008) grown on
// the days before it. Hours are judged by a forecast: they lie beyond its outer quantiles, further and longer than such hours
// have lain in the weeks before.
//
// Invariants, each kept by a test: nothing at or after the day judged is used to judge it; the same history gives the same
// findings; a finding says when, how much, and how much would have been usual.
package anomaly
