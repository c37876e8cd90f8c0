// Package weather fetches the weather of sites from a provider and keeps it: what was observed, for training, and what is
// forecast, with the instant of its issue, for serving.
//
// It knows when which site is due and how providers answer. It must not know features nor models. Its absence costs forecasts
// their features of weather, nothing else.
//
// Each site with a place has a row in the store that says when it is due. A hub claims a row for a lease, asks, keeps the
// answer and sets the next date:
//
//	due ──claim──▶ leased ──kept──▶ waits Every (and a little, so that sites spread)
//	 ▲                └──failed──▶ waits longer after each failure, the reason beside it
//	 └──── lease over: the hub that claimed it died
//
// Invariants: hubs of one database never ask for a site at once, nor more often in a day than the quota allows; what was
// observed and what was forecast are never mixed; a forecast counts from when the hub had it, not from when a model run began;
// an answer that is not plausible is kept not even in part.
package weather
