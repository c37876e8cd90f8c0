package train_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// quickLSTM returns parameters that keep tests short.
func quickLSTM() train.Params {
	p := quick()
	p.Family, p.LSTM = model.FamilyLSTM, lstm.Defaults()
	p.LSTM.Patch, p.LSTM.Cells, p.LSTM.Hidden, p.LSTM.Epochs = 24, 6, 12, 3
	return p
}

func TestLSTMForecastsPointsItHasNeverSeen(t *testing.T) {
	for _, resolution := range []time.Duration{15 * time.Minute, time.Hour} {
		p := quickLSTM()
		p.MaxRows = 10_000
		art, r := fit(t, town(3, 80, resolution), p)
		if r.Epochs == 0 || r.HeldLoss <= 0 {
			t.Errorf("report %+v", r)
		}
		forecastsNewPoints(t, art, 0.25, 1, 40)
	}
}

func TestLSTMSameBytesForAnyNumberOfThreads(t *testing.T) {
	d := town(3, 40, time.Hour)
	p := quickLSTM()
	sameForAnyNumberOfThreads(t, d, p)
}

// shelf keeps a checkpoint in memory and ends the fit after the first.
type shelf struct {
	b    []byte
	stop context.CancelFunc
}

func (s *shelf) Load(string) ([]byte, error) { return s.b, nil }

func (s *shelf) Save(_ string, b []byte) error {
	if s.b == nil {
		s.stop()
	}
	s.b = bytes.Clone(b)
	return nil
}

func TestLSTMGoesOnAfterARestart(t *testing.T) {
	d := town(3, 40, time.Hour)
	p := quickLSTM()
	want, _ := fit(t, d, p)
	ctx, cancel := context.WithCancel(context.Background())
	s := &shelf{stop: cancel}
	p.Checkpoint = s
	if _, _, err := train.Fit(ctx, d, p, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	epochs := 0
	got, _, err := train.Fit(context.Background(), d, p, func(stage string, _ float64) {
		if strings.HasPrefix(stage, "epoch") {
			epochs++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if epochs != p.LSTM.Epochs-1 || !bytes.Equal(encoded(t, got), encoded(t, want)) {
		t.Errorf("after a stop it goes through %d more epochs, to other bytes or the same", epochs)
	}
}

func TestLSTMNamesWhatASpecLacks(t *testing.T) {
	p := quickLSTM()
	spec, err := feature.ParseSpec("fluxora-features 1\nlead\nweeks mean 4\npast 1\npast 2\n")
	if err != nil {
		t.Fatal(err)
	}
	p.Spec = spec
	if _, _, err := train.Fit(context.Background(), town(2, 40, time.Hour), p, nil); err == nil || !strings.Contains(err.Error(), "past 1") {
		t.Errorf("two hours of the past, read 24 at a time: %v", err)
	}
	p = quickLSTM()
	p.LSTM.Rate = -1
	if _, _, err := train.Fit(context.Background(), town(2, 40, time.Hour), p, nil); err == nil || !strings.Contains(err.Error(), "rate") {
		t.Errorf("a rate of -1: %v", err)
	}
}

// TestTheOthersLeaveTheSequenceAlone fits trees and a line beside a sequence model: they become what they are without it.
func TestTheOthersLeaveTheSequenceAlone(t *testing.T) {
	d := town(3, 80, time.Hour)
	p := quickLSTM()
	p.Family = ""
	s, err := train.FitAll(context.Background(), d, p, []string{model.FamilyGBDT, model.FamilyLinear, model.FamilyLSTM}, nil)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := train.FitAll(context.Background(), d, p, []string{model.FamilyGBDT, model.FamilyLinear}, nil)
	if err != nil {
		t.Fatal(err)
	}
	narrow, wide := feature.Default().Len(), s.Fitted[model.FamilyLSTM].Artifact.Spec.Len()
	row := make([]float32, wide)
	for c := range row {
		row[c] = float32(c%7) / 3
	}
	for _, f := range []string{model.FamilyGBDT, model.FamilyLinear} {
		got, want := make([]float64, 3), make([]float64, 3)
		s.Fitted[f].Artifact.Model.Predict(row, 1, got)
		alone.Fitted[f].Artifact.Model.Predict(row[:narrow], 1, want)
		if got[1] != want[1] {
			t.Errorf("%s: %v beside a sequence model, %v without", f, got, want)
		}
	}
}
