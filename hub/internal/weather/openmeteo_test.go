package weather_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/weather"
	"fluxora.dev/shared/meter"
)

var (
	now   = time.Date(2026, 2, 10, 12, 20, 0, 0, time.UTC)
	drama = store.Place{Latitude: 59.74, Longitude: 10.2}
)

// hours answers as Open-Meteo does: n hours from first on, hour i of i degrees and 10 i W/m².
func hours(first time.Time, n int) string {
	var times []int64
	var temperature, radiation []any
	for i := range n {
		times = append(times, first.Add(time.Duration(i)*time.Hour).Unix())
		temperature, radiation = append(temperature, i%40), append(radiation, 10*(i%40))
	}
	if n > 3 {
		temperature[3] = nil
	}
	b, _ := json.Marshal(map[string]any{"hourly": map[string]any{"time": times, "temperature_2m": temperature, "shortwave_radiation": radiation}})
	return string(b)
}

// serve starts a server that answers, and a provider that asks it.
func serve(t *testing.T, answer http.HandlerFunc) *weather.OpenMeteo {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return weather.NewOpenMeteo(weather.OpenMeteoOptions{URL: s.URL, Archive: s.URL, Key: "secret-key", Timeout: 5 * time.Second, Now: func() time.Time { return now }})
}

func TestOpenMeteoIsLaidOnHours(t *testing.T) {
	asked := ""
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path + " " + r.URL.Query().Get("latitude") + " " + r.URL.Query().Get("past_days") + " " + r.URL.Query().Get("apikey")
		fmt.Fprint(w, hours(now.Truncate(24*time.Hour), 48))
	})
	observed, forecast, err := p.Now(t.Context(), drama, 2)
	if err != nil || asked != "/v1/forecast 59.7400 2 secret-key" {
		t.Fatalf("%v; asked %s", err, asked)
	}
	if len(observed.Temperature) != 12 || len(forecast.Temperature) != 36 || forecast.Start != meter.MillisOf(now.Truncate(time.Hour)) {
		t.Fatalf("%d hours observed, %d forecast from %s", len(observed.Temperature), len(forecast.Temperature), forecast.Start)
	}
	// An instant's temperature counts half for the hours before and after it, radiation for the hour before.
	if observed.Temperature[0] != 0.5 || observed.Radiation[0] != 10 || observed.Temperature[2] != 2 || observed.Temperature[3] == observed.Temperature[3] {
		t.Errorf("observed %v, %v", observed.Temperature, observed.Radiation)
	}
	old, err := p.Archive(t.Context(), drama, now.AddDate(-1, 0, 0), now)
	if err != nil || !strings.HasPrefix(asked, "/v1/archive") || len(old.Temperature) != 48 {
		t.Errorf("%v; asked %s, got %d hours", err, asked, len(old.Temperature))
	}
}

func TestOpenMeteoSaysWhatIsWrong(t *testing.T) {
	day := now.Truncate(24 * time.Hour)
	for name, c := range map[string]struct {
		code         int
		answer, want string
	}{
		"refused":    {400, `{"error":true,"reason":"Latitude must be in range"}`, "Latitude must be in range"},
		"quota":      {429, `{"reason":"Hourly API request limit exceeded"}`, "request limit"},
		"no JSON":    {200, `<html>`, "read answer"},
		"nothing":    {200, `{}`, "0 instants"},
		"uneven":     {200, strings.Replace(hours(day, 48), `"time":[`, `"time":[0,`, 1), "49 instants, 48 temperatures"},
		"off":        {200, strings.Replace(hours(day, 2), fmt.Sprint(day.Unix()+3600), fmt.Sprint(day.Unix()+60), 1), "want one each hour"},
		"hot":        {200, strings.Replace(hours(day, 48), "null", "3000", 1), "temperature of"},
		"only past":  {200, hours(day, 2), "forecasts nothing"},
		"huge":       {200, strings.Repeat(" ", 5<<20), "bytes"},
		"down":       {503, ``, "503"},
		"redirected": {302, ``, "302"},
	} {
		p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.code)
			fmt.Fprint(w, c.answer)
		})
		_, _, err := p.Now(t.Context(), drama, 2)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-key") {
			t.Errorf("%s: %v, want an error with %q and without the key", name, err, c.want)
		}
	}
}

func TestOpenMeteoIsLeftAloneWhenItFails(t *testing.T) {
	var asked atomic.Int32
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	})
	for range 20 {
		if _, _, err := p.Now(context.Background(), drama, 1); err == nil {
			t.Fatal("no error from a server that fails")
		}
	}
	if n := asked.Load(); n != 5 {
		t.Errorf("asked %d times, want 5 and then no more", n)
	}
}
