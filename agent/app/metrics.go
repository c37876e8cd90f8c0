package app

import (
	"fluxora.dev/agent/internal/status"
	"fluxora.dev/shared/forecast"
	live "fluxora.dev/shared/watch"
)

// metrics is everything that the agent exports; docs/metrics.md explains each to those who watch a fleet.
func (a *agent) metrics() []status.Metric {
	counter := func(name, help string, fn func() float64) status.Metric {
		return status.Metric{Name: name, Help: help, Values: status.One(fn)}
	}
	gauge := func(name, help string, fn func() float64) status.Metric {
		return status.Metric{Name: name, Help: help, Gauge: true, Values: status.One(fn)}
	}
	ms := []status.Metric{
		counter("messages_total", "MQTT messages taken in.", func() float64 { return float64(a.ingest.Stats().Messages) }),
		counter("readings_total", "Readings stored durably.", func() float64 { return float64(a.ingest.Stats().Readings) }),
		gauge("readings_held", "Readings that wait, durably, until the time is known.", func() float64 { return float64(a.ingest.Stats().Held) }),
		counter("readings_redated_total", "Readings whose instant was put right, because the clock was wrong.", func() float64 { return float64(a.ingest.Stats().Redated) }),
		gauge("clock_trust", "How far the clock is believed: 0 unset, 1 doubtful, 2 right.", func() float64 { return float64(a.clock.Moment().Trust) }),
		counter("clock_jumps_total", "Jumps of the wall clock.", func() float64 { return float64(a.clock.Jumps()) }),
		counter("duplicates_total", "Readings that were there already, with the same value.", func() float64 { return float64(a.ingest.Stats().Repeats) }),
		counter("corrections_total", "Readings that replaced another value of the same instant.", func() float64 { return float64(a.ingest.Stats().Corrected) }),
		counter("unrelated_total", "Messages of third-party publishers that hold none of the mapped values.", func() float64 { return float64(a.ingest.Stats().Unrelated) }),
		{
			Name: "refused_total", Help: "Messages and readings put into quarantine, by reason.", Labels: []string{"reason"},
			Values: func() (vs []status.Value) {
				for reason, n := range a.ingest.Stats().Refused {
					vs = append(vs, status.Value{Labels: []string{string(reason)}, V: float64(n)})
				}
				return vs
			},
		},
		counter("commits_total", "Group commits of readings.", func() float64 { return float64(a.ingest.Stats().Commits) }),
		counter("commit_failures_total", "Group commits that had to be tried again.", func() float64 { return float64(a.ingest.Stats().Failures) }),
		counter("commit_seconds_total", "Time spent in group commits.", func() float64 { return a.ingest.Stats().CommitTime.Seconds() }),

		counter("ledger_received_total", "Readings ever given a sequence in this epoch: delivered + evicted + thinned + pending.", func() float64 { return float64(a.store.Ledger().Received) }),
		counter("ledger_delivered_total", "Readings that the hub has committed.", func() float64 { return float64(a.store.Ledger().Delivered) }),
		counter("ledger_evicted_total", "Readings lost to the byte cap or to damage before the hub had them.", func() float64 { return float64(a.store.Ledger().Evicted) }),
		counter("ledger_thinned_total", "Readings spared for room before the hub had them; the energy of every interval is in the others.", func() float64 { return float64(a.store.Ledger().Thinned) }),
		gauge("ledger_pending", "Readings that wait for the hub.", func() float64 { return float64(a.store.Ledger().Pending) }),
		gauge("store_bytes", "Size of all files of the store.", func() float64 { return float64(a.store.Bytes()) }),
		gauge("store_max_bytes", "Byte cap of the store.", func() float64 { return float64(a.config.Store.MaxBytes) }),
		gauge("store_limit_bytes", "Bytes that the store may come to: the cap, or what the floor of free space leaves of it.", func() float64 { return float64(a.store.Stats().Limit) }),
		gauge("store_hours_until_full", "Hours until readings are thinned or evicted if the hub takes none.", func() float64 { return a.store.Stats().HoursUntilFull }),
		gauge("store_flash_bytes_per_day", "Bytes written to flash in a day at the rate of the last one.", func() float64 { return a.store.Stats().BytesPerDay }),
		gauge("store_flash_budget_bytes", "Bytes to write in a day as declared; 0 without a budget.", func() float64 { return float64(a.config.Store.FlashBudget) }),
		gauge("store_seconds_at_risk", "Seconds that a reading may wait before it is durable and acknowledged.", func() float64 { return a.store.Stats().SecondsAtRisk }),
		gauge("store_files_set_aside", "Damaged files that were salvaged and are kept aside.", func() float64 { return float64(a.store.Stats().SetAside) }),
		gauge("quarantine_messages", "Messages kept in quarantine.", func() float64 { return float64(a.store.QuarantineStats().Kept) }),
		counter("quarantine_dropped_total", "Quarantined messages deleted for lack of room before the hub had them.", func() float64 { return float64(a.store.QuarantineStats().Dropped) }),

		gauge("broker_connected", "1 while connected to the MQTT broker.", func() float64 { return truth(a.mqtt.Stats().Connected) }),
		counter("broker_connects_total", "Connections made to the MQTT broker.", func() float64 { return float64(a.mqtt.Stats().Connects) }),

		{
			Name: "forecasts_total", Help: "Forecasts made, by the rung they stand on.", Labels: []string{"rung"},
			Values: func() (vs []status.Value) {
				made := a.schedule.Stats().Made
				for _, rung := range forecast.Rungs() {
					vs = append(vs, status.Value{Labels: []string{string(rung)}, V: float64(made[rung])})
				}
				return vs
			},
		},
		counter("forecasts_without_history_total", "Origins from which nothing could be said for want of history.", func() float64 { return float64(a.schedule.Stats().NoHistory) }),
		counter("forecast_failures_total", "Forecasts that could not be made or kept.", func() float64 { return float64(a.schedule.Stats().Failed) }),
		gauge("forecasts_unpublished", "Forecasts that wait for the MQTT broker.", func() float64 { return float64(a.schedule.Stats().Waiting) }),
		gauge("forecast_seconds", "Time that the latest forecast took.", func() float64 { return a.schedule.Stats().Took.Seconds() }),
		{
			Name: "interval_coverage", Help: "Share of what happened that lay within the intervals served, of the last weeks, by lead.", Gauge: true, Labels: []string{"point", "lead"},
			Values: func() (vs []status.Value) {
				for _, c := range a.predict.Coverage() {
					vs = append(vs, status.Value{Labels: []string{c.Point, c.Band}, V: c.Tally.Coverage()})
				}
				return vs
			},
		},
		counter("intervals_forgotten_total", "Points whose intervals began anew because what was learnt could not be read.", func() float64 { return float64(a.predict.Forgotten()) }),
		a.liveMetric("live_error_wh", "Mean absolute error of the active model an interval, over the last weeks.", func(l live.Live) float64 { return l.Error }),
		a.liveMetric("live_skill", "Share by which the active model's error is below the baseline's, over the last weeks.", live.Live.Skill),
		counter("findings_total", "Days and hours that were out of the ordinary.", func() float64 { return float64(a.watch.Findings()) }),
	}
	if a.uplink == nil {
		return ms
	}
	ms = append(ms, a.bookMetrics()...)
	return append(ms,
		gauge("hub_connected", "1 while a session with the hub is open.", func() float64 { return truth(a.uplink.Status().Connected) }),
		gauge("hub_doubled", "1 while the hub refuses this agent because another with its identity came since.", func() float64 { return truth(a.uplink.Status().Doubled) }),
		counter("hub_sessions_total", "Sessions begun with the hub.", func() float64 { return float64(a.uplink.Status().Sessions) }),
		counter("hub_failures_total", "Sessions with the hub that failed.", func() float64 { return float64(a.uplink.Status().Failures) }),
		counter("hub_acked_total", "Readings acked by the hub since the start.", func() float64 { return float64(a.uplink.Status().Acked) }),
		gauge("hub_in_flight", "Readings sent to the hub and not acked.", func() float64 { return float64(a.uplink.Status().InFlight) }),
		counter("hub_unstorable_total", "Readings that the hub can never store, set aside in the quarantine.", func() float64 { return float64(a.uplink.Status().SetAside) }),
		counter("hub_unreportable_total", "Forecasts, quarantined messages and model states that the hub can never store.", func() float64 { return float64(a.uplink.Status().Unreportable) }),
		counter("hub_sent_bytes_total", "Bytes of messages sent to the hub, compressed.", func() float64 { return float64(a.uplink.Status().BytesSent) }),
		gauge("hub_clock_offset_seconds", "This clock minus the hub's.", func() float64 { return a.uplink.Status().ClockOffset.Seconds() }),
		gauge("certificate_expires_seconds", "When the agent's certificate expires, in Unix seconds.", func() float64 { return float64(a.identity.NotAfter().Unix()) }),
	)
}

// liveMetric is a figure of how the model does on each point that it was examined on.
func (a *agent) liveMetric(name, help string, of func(live.Live) float64) status.Metric {
	return status.Metric{Name: name, Help: help, Gauge: true, Labels: []string{"point"}, Values: func() (vs []status.Value) {
		for _, p := range a.watch.Points() {
			if p.Live.Days > 0 {
				vs = append(vs, status.Value{Labels: []string{p.Point}, V: of(p.Live)})
			}
		}
		return vs
	}}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
