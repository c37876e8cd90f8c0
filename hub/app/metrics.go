package app

import (
	"context"
	"encoding/json"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/registry"
)

// trainingCounter counts trainings of this process.
type trainingCounter struct {
	runs    *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newTrainingCounter(reg prometheus.Registerer) *trainingCounter {
	c := &trainingCounter{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fluxora_hub_trainings_total", Help: "Trainings ended, by outcome."}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fluxora_hub_training_seconds", Help: "Time from the start of a training to its end.",
			Buckets: []float64{1, 5, 15, 60, 300, 900, 3600},
		}),
	}
	reg.MustRegister(c.runs, c.seconds)
	return c
}

func (c *trainingCounter) done(outcome string, took time.Duration) {
	c.runs.WithLabelValues(outcome).Inc()
	c.seconds.Observe(took.Seconds())
}

// registerMetrics adds what the uplink counts in this process and what the database says of the whole fleet.
func registerMetrics(reg prometheus.Registerer, b *base, agents *ingest.Server) {
	counter := func(name, help string, value func(ingest.Stats) uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value(agents.Stats())) }))
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fluxora_hub_sessions", Help: "Agents connected to this process."},
		func() float64 { return float64(agents.Stats().Sessions) }))
	counter("fluxora_hub_batches_total", "Batches acked by this process, replays included.", func(s ingest.Stats) uint64 { return s.Batches })
	counter("fluxora_hub_batch_readings_total", "Readings in them.", func(s ingest.Stats) uint64 { return s.Readings })
	counter("fluxora_hub_batch_bytes_total", "Bytes of their chunks.", func(s ingest.Stats) uint64 { return s.Bytes })
	counter("fluxora_hub_batch_overlaps_total", "Batches refused because they were committed in part.", func(s ingest.Stats) uint64 { return s.Overlaps })
	counter("fluxora_hub_sessions_displaced_total", "Sessions closed because a newer one of the same agent took over.", func(s ingest.Stats) uint64 { return s.Displaced })
	counter("fluxora_hub_sessions_clone_total", "Sessions refused because another agent has the same identity.", func(s ingest.Stats) uint64 { return s.Clones })
	counter("fluxora_hub_sessions_readmitted_total", "Sessions of agents that were refused as copies and let in by hand.", func(s ingest.Stats) uint64 { return s.Readmitted })
	counter("fluxora_hub_sessions_unguarded_total", "Sessions of agents that were downgraded to a version that cannot be told from a copy of it.", func(s ingest.Stats) uint64 { return s.Unguarded })
	counter("fluxora_hub_sessions_forgotten_total", "Sessions of agents that knew a newer session than this hub: its database was set back.", func(s ingest.Stats) uint64 { return s.Forgotten })
	counter("fluxora_hub_sessions_sent_away_total", "Sessions asked to come back later because the hub was busy.", func(s ingest.Stats) uint64 { return s.SentAway })
	counter("fluxora_hub_callers_refused_total", "Callers without a valid certificate or token.", func(s ingest.Stats) uint64 { return s.Refused })
	counter("fluxora_hub_unstorable_total", "Batches and entries of reports that can never be stored, refused.", func(s ingest.Stats) uint64 { return s.Unstorable })
	counter("fluxora_hub_sessions_invalid_total", "Sessions ended because of a message that breaks the protocol.", func(s ingest.Stats) uint64 { return s.Invalid })
	counter("fluxora_hub_enrolled_total", "Agents enrolled by this process.", func(s ingest.Stats) uint64 { return s.Enrolled })
	counter("fluxora_hub_panics_total", "Panics caught while serving agents.", func(s ingest.Stats) uint64 { return s.Panics })

	fleet := &fleetCollector{b: b}
	fleet.describe()
	reg.MustRegister(fleet)
}

// fleetCollector asks the database at each scrape, for every organisation of the database together.
type fleetCollector struct {
	b *base

	up, readings, duplicates, corrections, underived, deriveLag, deriveFailing      *prometheus.Desc
	unbalanced, surplus, resends, unscored, weatherless                             *prometheus.Desc
	agents, backlog, silent, doubled, models, mase, npinball, coverage, quarantined *prometheus.Desc
	liveError, liveBaseline, liveSkill, liveCoverage, drifted                       *prometheus.Desc
}

// collectWithin bounds what a scrape may wait for the database.
const collectWithin = 3 * time.Second

func (c *fleetCollector) describe() {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("fluxora_hub_"+name, help, labels, nil)
	}
	c.up = desc("database_up", "1 when the database answered this scrape.")
	c.readings = desc("readings_committed_total", "Readings committed, by all processes, replays aside.")
	c.duplicates = desc("readings_duplicate_total", "Readings that were held already with the same value.")
	c.corrections = desc("readings_corrected_total", "Readings that replaced another value of the same instant.")
	c.underived = desc("batches_underived", "Batches committed whose intervals are not computed yet.")
	c.deriveLag = desc("derive_lag_seconds", "Age of the oldest batch whose intervals are not computed yet.")
	c.deriveFailing = desc("sites_derive_failing", "Sites whose intervals could not be computed at the last attempt.")
	c.unbalanced = desc("ledger_unbalanced", "Readings by which the ledgers of agents and hub differ; more than 0 is an alarm.")
	c.surplus = desc("ledger_surplus", "Readings here that agents do not call delivered: they wrote them off on their way, or lost their books.")
	c.unscored = desc("forecast_days_unscored", "Days of points whose errors of forecasts are to be made anew.")
	c.resends = desc("resends_open", "Requests to send again that agents have not answered in full.")
	c.weatherless = desc("sites_weather_failing", "Sites with a place whose weather could not be fetched at the last attempt.")
	c.agents = desc("agents", "Agents enrolled, by state.", "state")
	c.backlog = desc("agents_backlog_readings", "Readings that agents said they still hold unacked, at their last hello.")
	c.silent = desc("agents_silent", "Agents, not revoked, that were not heard of for an hour.")
	c.doubled = desc("agents_doubled", "Agents, not revoked, of which a copy was refused within a day and none readmitted since; more than 0 is an alarm.")
	c.quarantined = desc("quarantined_total", "Messages and readings that agents quarantined, by reason.", "reason")
	c.models = desc("models", "Model versions, by state.", "state")
	c.mase = desc("model_mase", "MASE of the backtest of the active model, by contender.", "resolution", "contender")
	c.npinball = desc("model_npinball", "Normalised pinball loss of the same.", "resolution", "contender")
	c.liveError = desc("live_error_wh", "Mean absolute error of the active model an interval over the last weeks, of all points.", "resolution", "by")
	c.liveBaseline = desc("live_baseline_wh", "The same of the baseline.", "resolution", "by")
	c.liveSkill = desc("live_skill", "Share by which the model's error is below the baseline's.", "resolution", "by")
	c.liveCoverage = desc("live_coverage", "Share of intervals within the outer levels in the same.", "resolution", "by")
	c.drifted = desc("points_drifted", "Points whose errors have drifted, at the last examination.", "resolution")
	c.coverage = desc("model_coverage", "Share of intervals within the outer levels in the same.", "resolution", "contender")
}

// Describe implements prometheus.Collector.
func (c *fleetCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *fleetCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectWithin)
	defer cancel()
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	f, err := c.b.store.Fleet(ctx)
	if err != nil {
		send(c.up, prometheus.GaugeValue, 0)
		return
	}
	send(c.up, prometheus.GaugeValue, 1)
	send(c.readings, prometheus.CounterValue, float64(f.Readings))
	send(c.duplicates, prometheus.CounterValue, float64(f.Duplicates))
	send(c.corrections, prometheus.CounterValue, float64(f.Corrections))
	send(c.underived, prometheus.GaugeValue, float64(f.Underived))
	send(c.deriveLag, prometheus.GaugeValue, f.DeriveLag.Seconds())
	send(c.deriveFailing, prometheus.GaugeValue, float64(f.DeriveFailing))
	send(c.weatherless, prometheus.GaugeValue, float64(f.Weatherless))
	send(c.unbalanced, prometheus.GaugeValue, float64(f.Unbalanced))
	send(c.surplus, prometheus.GaugeValue, float64(f.Surplus))
	send(c.unscored, prometheus.GaugeValue, float64(f.Unscored))
	send(c.resends, prometheus.GaugeValue, float64(f.Resends))
	send(c.agents, prometheus.GaugeValue, float64(f.Agents), "enrolled")
	send(c.agents, prometheus.GaugeValue, float64(f.Revoked), "revoked")
	send(c.backlog, prometheus.GaugeValue, float64(f.Backlog))
	send(c.silent, prometheus.GaugeValue, float64(f.Silent))
	send(c.doubled, prometheus.GaugeValue, float64(f.Doubled))
	for reason, n := range f.Quarantined {
		send(c.quarantined, prometheus.CounterValue, float64(n), reason)
	}
	for state, n := range f.Models {
		send(c.models, prometheus.GaugeValue, float64(n), state)
	}
	for _, a := range f.Active {
		if a.Org != c.b.org {
			continue // scores of different organisations would be the same series
		}
		scores, err := registry.DecodeScores(a.Scores)
		if err != nil {
			continue
		}
		for _, s := range scores {
			if s.Contender == "candidate" {
				s.Contender = "model" // it was one then
			}
			send(c.mase, prometheus.GaugeValue, s.MASE, a.Resolution.String(), s.Contender)
			send(c.npinball, prometheus.GaugeValue, s.NPinball, a.Resolution.String(), s.Contender)
			send(c.coverage, prometheus.GaugeValue, s.Coverage, a.Resolution.String(), s.Contender)
		}
	}
	figures, err := c.b.store.WatchFigures(ctx, c.b.org)
	if err != nil {
		return
	}
	for _, f := range figures {
		send(c.drifted, prometheus.GaugeValue, float64(f.Drifted), f.Resolution.String())
		for by, text := range map[string]json.RawMessage{"hub": f.Live, "agents": f.Agents} {
			var l Live
			if json.Unmarshal(text, &l) != nil {
				continue
			}
			for d, v := range map[*prometheus.Desc]*float64{c.liveError: l.Error, c.liveBaseline: l.Baseline, c.liveSkill: l.Skill, c.liveCoverage: l.Coverage} {
				if v != nil {
					send(d, prometheus.GaugeValue, *v, f.Resolution.String(), by)
				}
			}
		}
	}
}
