package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// agentReadings adds to out the readings of a series from an instant on that an agent still has.
func (w *world) agentReadings(ctx context.Context, a *stage.Agent, s series, from meter.Millis, out map[instant]bool) error {
	type reading struct {
		At      time.Time `json:"at"`
		Value   float64   `json:"value"`
		Quality string    `json:"quality"`
	}
	return pages(ctx, a, "/v1/points/"+s.Point+"/readings", s, from, "readings", func(r reading) error {
		q, err := meter.ParseQuality(r.Quality)
		out[instant{s, meter.MillisOf(r.At), value{int64(math.Round(r.Value * 1000)), q}}] = true
		return err
	})
}

// agentIntervals returns the intervals of a series that the agent has.
func (w *world) agentIntervals(ctx context.Context, s series) (out []interval.Interval, err error) {
	type view struct {
		Start     time.Time `json:"start"`
		Wh        int64     `json:"wh"`
		Quality   string    `json:"quality"`
		Recovered bool      `json:"recovered"`
	}
	from := meter.MillisOf(time.Now().AddDate(0, 0, -400))
	err = pages(ctx, w.agent, "/v1/points/"+s.Point+"/intervals", s, from, "intervals", func(x view) error {
		quality, err := meter.ParseQuality(x.Quality)
		out = append(out, interval.Interval{Start: meter.MillisOf(x.Start), Energy: meter.WattHours(x.Wh), Quality: quality, Recovered: x.Recovered})
		return err
	})
	return out, err
}

// pages asks an agent for everything of a series since an instant, page by page. What the agent does not know is empty.
func pages[T any](ctx context.Context, a *stage.Agent, path string, s series, from meter.Millis, name string, each func(T) error) error {
	q := url.Values{
		"from": {from.String()}, "to": {meter.MillisOf(time.Now().Add(time.Hour)).String()},
		"limit": {"10000"}, "register": {string(s.Register)},
	}
	for {
		var answer map[string]json.RawMessage
		if err := a.API.Get(ctx, path+"?"+q.Encode(), &answer); err != nil {
			if strings.Contains(err.Error(), "not known to this agent") {
				return nil
			}
			return err
		}
		var rows []T
		if err := json.Unmarshal(answer[name], &rows); err != nil {
			return fmt.Errorf("answer to %s: %w", path, err)
		}
		for _, r := range rows {
			if err := each(r); err != nil {
				return err
			}
		}
		var next string
		if answer["next"] == nil {
			return nil
		}
		if err := json.Unmarshal(answer["next"], &next); err != nil {
			return fmt.Errorf("answer to %s: %w", path, err)
		}
		q.Set("from", next)
	}
}
