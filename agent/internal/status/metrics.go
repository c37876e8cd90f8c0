package status

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metric is one number to export, with the labels that tell it from others of its name.
type Metric struct {
	Name   string // without the prefix fluxora_agent_
	Help   string
	Labels []string // names
	Gauge  bool     // may go down
	Values func() []Value
}

// Value is the value of a metric for the given label values.
type Value struct {
	Labels []string
	V      float64
}

// One returns the values of a metric without labels.
func One(fn func() float64) func() []Value {
	return func() []Value { return []Value{{V: fn()}} }
}

// Registry returns a registry that exports the metrics, read anew at each scrape, beside those of the process and of Go.
func Registry(metrics []Metric) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c := collector{}
	for _, m := range metrics {
		c = append(c, described{m, prometheus.NewDesc("fluxora_agent_"+m.Name, m.Help, m.Labels, nil)})
	}
	r.MustRegister(c)
	return r
}

type described struct {
	Metric
	desc *prometheus.Desc
}

type collector []described

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c {
		kind := prometheus.CounterValue
		if m.Gauge {
			kind = prometheus.GaugeValue
		}
		for _, v := range m.Values() {
			out <- prometheus.MustNewConstMetric(m.desc, kind, v.V, v.Labels...)
		}
	}
}
