package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fluxora.dev/firmware-bridge/internal/publish"
	"fluxora.dev/shared/lifecycle"
)

// serve starts /healthz and /metrics and returns the address.
func serve(group *lifecycle.Group, listen string, p *publish.Publisher) (string, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", fmt.Errorf("listen for the HTTP interface: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics(p), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if c := p.Counts(); !c.Connected {
			fmt.Fprintf(w, "ok, not connected, %d messages held\n", c.Backlog)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	group.Go("http", func(ctx context.Context) error {
		stopped := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(stopped)
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if s.Shutdown(bounded) != nil {
				s.Close()
			}
		})
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			stop()
			return err
		}
		<-stopped
		return nil
	})
	return l.Addr().String(), nil
}

// metrics returns what the publisher has done, for Prometheus.
func metrics(p *publish.Publisher) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counter := func(name, help string, value func(publish.Counts) uint64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "fluxora_bridge", Name: name, Help: help},
			func() float64 { return float64(value(p.Counts())) }))
	}
	counter("messages_published_total", "Messages taken from the driver.", func(c publish.Counts) uint64 { return c.Published })
	counter("readings_published_total", "Readings in those messages.", func(c publish.Counts) uint64 { return c.Readings })
	counter("messages_acked_total", "Messages that the broker has acknowledged.", func(c publish.Counts) uint64 { return c.Acked })
	counter("reconnects_total", "Connections to the broker after the first.", func(c publish.Counts) uint64 { return max(c.Connects, 1) - 1 })
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "fluxora_bridge", Name: "backlog_messages",
		Help: "Messages taken and not yet acknowledged.",
	}, func() float64 { return float64(p.Counts().Backlog) }))
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "fluxora_bridge", Name: "connected",
		Help: "1 while there is a connection to the broker.",
	}, func() float64 {
		if p.Counts().Connected {
			return 1
		}
		return 0
	}))
	return r
}
