package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fluxora.dev/agent/internal/schedule"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// world is a maker, keeper and publisher that remembers.
type world struct {
	made, kept, published []forecast.Forecast
	makeErr               error
	publishErr            atomic.Pointer[error]
	hold                  chan struct{} // when set, Make waits for it
}

func (w *world) Make(_ context.Context, t schedule.Target, origin meter.Millis) (forecast.Forecast, error) {
	if w.hold != nil {
		<-w.hold
	}
	f := forecast.Forecast{Point: t.Point, Register: t.Register, Origin: origin, Rung: forecast.Active}
	w.made = append(w.made, f)
	return f, w.makeErr
}

func (w *world) PutForecast(f forecast.Forecast) error { w.kept = append(w.kept, f); return nil }

func (w *world) PublishForecast(_ context.Context, f forecast.Forecast) error {
	if err := w.publishErr.Load(); err != nil {
		return *err
	}
	w.published = append(w.published, f)
	return nil
}

var roof = schedule.Target{Point: "roof", Register: meter.EnergyImport}

// start runs a schedule in the bubble of a test and returns it with its end.
func start(t *testing.T, w *world) *schedule.Schedule {
	t.Helper()
	s := schedule.New(w, w, w, time.Now, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); synctest.Wait() })
	go s.Make(ctx)
	go s.Publish(ctx)
	return s
}

func origins(fs []forecast.Forecast) string {
	out := ""
	for _, f := range fs {
		out += fmt.Sprint(int64(f.Origin), " ")
	}
	return out
}

func TestNewOriginIsForecastKeptAndPublishedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		s := start(t, w)
		s.Origin(roof, 100)
		synctest.Wait()
		s.Origin(roof, 100)
		s.Origin(roof, 50)
		synctest.Wait()
		for name, fs := range map[string][]forecast.Forecast{"made": w.made, "kept": w.kept, "published": w.published} {
			if origins(fs) != "100 " {
				t.Errorf("%s %s, want one forecast from 100", name, origins(fs))
			}
		}
		if f, ok := s.Latest(roof); !ok || f.Origin != 100 {
			t.Errorf("latest %v %v, want the one from 100", f, ok)
		}
	})
}

func TestBackfillIsForecastFromItsNewestOriginOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{hold: make(chan struct{})}
		s := start(t, w)
		s.Origin(roof, 1)
		synctest.Wait() // the first is being made
		for o := meter.Millis(2); o <= 500; o++ {
			s.Origin(roof, o)
		}
		close(w.hold)
		synctest.Wait()
		if got := origins(w.made); got != "1 500 " {
			t.Errorf("made from %s, want 1 and 500", got)
		}
	})
}

func TestBrokerAwayPublishesTheNewestWhenItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, away := &world{}, errors.New("not connected")
		w.publishErr.Store(&away)
		s := start(t, w)
		s.Origin(roof, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.Origin(roof, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.publishErr.Store(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := origins(w.published); got != "2 " {
			t.Errorf("published %s, want the newest alone", got)
		}
		s.Republish()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := origins(w.published); got != "2 2 " {
			t.Errorf("published %s, want the newest again", got)
		}
	})
}

func TestAgainAfterANewModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		s := start(t, w)
		s.Origin(roof, 7)
		synctest.Wait()
		s.Again()
		synctest.Wait()
		if got := origins(w.published); got != "7 7 " {
			t.Errorf("published %s, want 7 twice", got)
		}
	})
}

func TestErrorsAreCountedAndPublishNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{makeErr: fmt.Errorf("roof: %w", forecast.ErrNoHistory)}
		s := start(t, w)
		s.Origin(roof, 1)
		synctest.Wait()
		w.makeErr = errors.New("boom")
		s.Origin(roof, 2)
		synctest.Wait()
		if st := s.Stats(); st.NoHistory != 1 || st.Failed != 1 || len(w.published) != 0 {
			t.Errorf("stats %+v, published %d: want one without history, one failed, none published", st, len(w.published))
		}
	})
}

func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		s := start(t, w)
		if _, err := s.Now(t.Context(), roof); !errors.Is(err, forecast.ErrNoHistory) {
			t.Errorf("error %v, want ErrNoHistory", err)
		}
		s.Origin(roof, 3)
		synctest.Wait()
		f, err := s.Now(t.Context(), roof)
		if err != nil || f.Origin != 3 {
			t.Errorf("forecast %v, %v: want one from 3", f, err)
		}
	})
}
