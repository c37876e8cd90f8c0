package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fluxora.dev/agent/internal/status"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// roof is a source with one point and a reading each minute.
type roof struct{ forecastErr error }

func (roof) Overview() status.Overview {
	return status.Overview{Site: "house", Readings: status.Books{Received: 3, Pending: 1}}
}

func (roof) Points() []status.Point {
	return []status.Point{{
		Name: "roof", Register: meter.EnergyImport, Resolution: time.Hour,
		LastReading:  &meter.Reading{At: meter.MillisOf(now), Value: 1500},
		LastInterval: &interval.Interval{Start: meter.MillisOf(now.Add(-time.Hour)), Energy: 42},
		Rung:         forecast.Active, Origin: meter.MillisOf(now),
		Coverage: []status.Coverage{{Lead: "0-6h", Nominal: 0.8, Within: 0.75, Below: 0.25, Hours: 12}},
	}}
}

func (roof) Readings(_ context.Context, point string, _ meter.Register, from, to meter.Millis, limit int) ([]meter.Reading, error) {
	if point != "roof" {
		return nil, fmt.Errorf("point %s: %w", point, status.ErrUnknown)
	}
	var rs []meter.Reading
	for at := from; at < to && len(rs) < limit; at = at.Add(time.Minute) {
		rs = append(rs, meter.Reading{At: at, Value: 1})
	}
	return rs, nil
}

func (roof) Intervals(_ context.Context, _ string, _ meter.Register, from, to meter.Millis) ([]interval.Interval, error) {
	var is []interval.Interval
	for at := from; at < to; at = at.Add(time.Hour) {
		is = append(is, interval.Interval{Start: at, Energy: 7, Recovered: true})
	}
	return is, nil
}

func (r roof) Forecast(point string) (forecast.Forecast, error) {
	return forecast.Forecast{
		Point: point, Register: meter.EnergyImport, Origin: meter.MillisOf(now), Resolution: time.Hour,
		Levels: []float64{0.5}, Values: []float64{1, 2}, Rung: forecast.Baseline, Issued: meter.MillisOf(now),
	}, r.forecastErr
}

func (r roof) MakeForecast(_ context.Context, point string) (forecast.Forecast, error) {
	return r.Forecast(point)
}

// serve starts a server and returns a function that asks it.
func serve(t *testing.T, src status.Source, o status.Options) func(method, path, token string) (int, string) {
	t.Helper()
	o.Listen, o.Now, o.Log = "127.0.0.1:0", func() time.Time { return now }, slog.New(slog.DiscardHandler)
	if o.Parts == nil {
		o.Parts = func() []status.Part { return nil }
	}
	s, err := status.Listen(src, prometheus.NewRegistry(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(method, path, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
}

func TestRoutes(t *testing.T) {
	ask := serve(t, roof{}, status.Options{})
	for _, c := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"GET", "/healthz", 200, `"ok"`},
		{"GET", "/readyz", 200, `"ready"`},
		{"GET", "/metrics", 200, ""},
		{"GET", "/v1/status", 200, `"readings":{"received":3,"delivered":0,"evicted":0,"thinned":0,"pending":1`},
		{"GET", "/v1/points", 200, `"last_reading":{"at":"2026-03-01T12:00:00.000Z","value":1.5,"quality":"measured"}`},
		{"GET", "/v1/points", 200, `"rung":"active"`},
		{"GET", "/v1/points", 200, `"within":0.75`},
		{"GET", "/v1/points?x=1", 400, "unknown parameter"},
		{"GET", "/v1/points/roof/readings?limit=2", 200, `"next":"2026-02-28T12:02:00.000Z"`},
		{"GET", "/v1/points/roof/readings?to=2026-01-01T00:00:00Z&limit=1", 200, `"at":"2025-12-31T00:00:00.000Z"`},
		{"GET", "/v1/points/cellar/readings", 404, "point cellar"},
		{"GET", "/v1/points/roof/readings?from=yesterday", 400, "want a time as"},
		{"GET", "/v1/points/roof/readings?from=2026-03-02T00:00:00Z", 400, "not after from"},
		{"GET", "/v1/points/roof/readings?limit=0", 400, "want 1 to 10000"},
		{"GET", "/v1/points/roof/readings?limit=1&limit=2", 400, "given 2 times"},
		{"GET", "/v1/points/roof/readings?register=water", 400, "want one of energy-import"},
		{"GET", "/v1/points/roof/intervals?register=1.8.0", 200, `"wh":7,"quality":"measured","recovered":true`},
		{"GET", "/v1/points/roof/forecast", 200, `"rung":"baseline"`},
		{"POST", "/v1/points/roof/forecast", 200, `"rung":"baseline"`},
		{"GET", "/v1/points", 200, `"unit":"Wh","resolution":"PT1H"`},
		{"GET", "/v1/points/roof/readings?register=2.7.0&limit=1", 200, `"unit":"W"`},
		{"DELETE", "/v1/points/roof/forecast", 405, `"message":"want GET or POST"`},
		{"POST", "/v1/points", 405, `"message":"want GET"`},
		{"GET", "/nowhere", 404, `"message":"no such path`},
		{"GET", "/v1/points/roof", 404, `"message":"no such path`},
	} {
		code, body := ask(c.method, c.path, "")
		if code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.method, c.path, code, body, c.code, c.want)
		}
	}
}

func TestNoHistoryIsAConflictWithTheReason(t *testing.T) {
	ask := serve(t, roof{forecastErr: fmt.Errorf("forecast roof: %w", forecast.ErrNoHistory)}, status.Options{})
	if code, body := ask("GET", "/v1/points/roof/forecast", ""); code != 409 || !strings.Contains(body, "no history") {
		t.Errorf("%d %s, want 409 with the reason", code, body)
	}
}

func TestInternalErrorsLeakNothing(t *testing.T) {
	ask := serve(t, roof{forecastErr: errors.New("open /var/lib/secret: denied")}, status.Options{})
	if code, body := ask("GET", "/v1/points/roof/forecast", ""); code != 500 || strings.Contains(body, "secret") {
		t.Errorf("%d %s, want a 500 that says nothing of the file", code, body)
	}
}

func TestNotReadyWithoutANeededPart(t *testing.T) {
	ask := serve(t, roof{}, status.Options{Parts: func() []status.Part {
		return []status.Part{{Name: "store", OK: true, Needed: true}, {Name: "hub", OK: false}, {Name: "broker", Needed: true, Detail: "refused"}}
	}})
	code, body := ask("GET", "/readyz", "")
	var answer struct {
		Status string
		Parts  []status.Part
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if code != 503 || answer.Status != "not ready" || len(answer.Parts) != 3 {
		t.Errorf("%d %s, want 503 with all three parts", code, body)
	}
}

func TestToken(t *testing.T) {
	ask := serve(t, roof{}, status.Options{Token: "secret"})
	for token, want := range map[string]int{"": 401, "wrong": 401, "secret": 200} {
		if code, _ := ask("GET", "/v1/points", token); code != want {
			t.Errorf("token %q: %d, want %d", token, code, want)
		}
	}
	if code, _ := ask("GET", "/healthz", ""); code != 200 {
		t.Errorf("healthz needs a token: %d", code)
	}
}

func TestListensBeyondLoopbackOnlyWithAToken(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0"} {
		if _, err := status.Listen(roof{}, prometheus.NewRegistry(), status.Options{Listen: addr, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("listens on %s without a token", addr)
		}
	}
}
