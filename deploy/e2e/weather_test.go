package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// TestWeatherReachesTheAgent gives a site a place. The hub asks the provider, here one of our own that answers as Open-Meteo does,
// and the agent holds what was observed and what is forecast, also after it was killed while the hub is away.
func TestWeatherReachesTheAgent(t *testing.T) {
	w := newWorld(t, "")
	provider := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("latitude") != "59.7400" || r.URL.Query().Get("longitude") != "10.2000" {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		var hourly struct {
			Time        []int64   `json:"time"`
			Temperature []float64 `json:"temperature_2m"`
			Radiation   []float64 `json:"shortwave_radiation"`
		}
		today := time.Now().UTC().Truncate(24 * time.Hour)
		for at := today.AddDate(0, 0, -90); at.Before(today.AddDate(0, 0, 7)); at = at.Add(time.Hour) {
			hourly.Time, hourly.Temperature, hourly.Radiation = append(hourly.Time, at.Unix()), append(hourly.Temperature, float64(at.Hour())-5), append(hourly.Radiation, 100)
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"hourly": hourly})
	}))
	t.Cleanup(provider.Close)
	w.hub = w.newHub("hub-weather", "FLUXORA_HUB_WEATHER_URL="+provider.URL, "FLUXORA_HUB_WEATHER_ARCHIVE="+provider.URL)
	w.begin()
	if out, err := w.hub.Command(w.ctx, "site", site, "--place", "91,10"); err == nil || !strings.Contains(out+err.Error(), "latitude of -90 to 90") {
		t.Errorf("a latitude of 91: %s, %v", out, err)
	}
	_, err := w.hub.Command(w.ctx, "site", site, "--place", "59.74,10.2")
	w.must("give the site a place", err)
	w.wait("the hub to fetch the weather", func(ctx context.Context) (bool, error) {
		out, err := w.hub.Command(ctx, "site", site)
		return strings.Contains(out, "forecast issued 20") && !strings.Contains(out, "failed"), err
	})

	// A session tells what is new at its start; while it lasts, every few minutes.
	w.must("kill the agent", w.agent.Kill())
	w.startAgent()
	knows := func(o rest.Overview) bool {
		return o.Weather != nil && o.Weather.Issued != nil && o.Weather.ObservedTo != nil && time.Since(*o.Weather.ObservedTo) < 2*time.Hour
	}
	w.waitStatus(w.agent, "the agent to know the weather", knows)
	w.stopHub()
	w.must("kill the agent", w.agent.Kill())
	w.startAgent()
	w.waitStatus(w.agent, "the agent to know the weather still", knows)
}
