package topic_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
	"pgregory.net/rapid"
)

func TestParseReading(t *testing.T) {
	site, point, reg, err := topic.ParseReading(topic.ReadingTopic("home", "D6396", meter.EnergyImport))
	if err != nil || site != "home" || point != "D6396" || reg != meter.EnergyImport {
		t.Errorf("%q %q %q %v", site, point, reg, err)
	}
	if _, _, reg, err := topic.ParseReading("fluxora/v1/a/reading/b/2.8.0"); err != nil || reg != meter.EnergyExport {
		t.Errorf("OBIS code: %q %v", reg, err)
	}
	for in, reason := range map[string]meter.Reason{
		"":                                     meter.UnknownTopic,
		"fluxora/v2/a/reading/b/1.8.0":         meter.UnknownTopic,
		"fluxora/v1/a/reading/b":               meter.UnknownTopic,
		"fluxora/v1/a/reading/b/1.8.0/x":       meter.UnknownTopic,
		"fluxora/v1/a/forecast/b/1.8.0":        meter.UnknownTopic,
		"fluxora/v1//reading/b/1.8.0":          meter.UnknownTopic,
		"fluxora/v1/a/reading/../1.8.0":        meter.UnknownTopic,
		"fluxora/v1/a/reading/b c/1.8.0":       meter.UnknownTopic,
		"fluxora/v1/a/reading/b/energy":        meter.UnknownRegister,
		"fluxora/v1/a/reading/b/Energy-Import": meter.UnknownRegister,
		"fluxora/v1/a/reading/" + strings.Repeat("b", 60_000) + "/1.8.0": meter.UnknownTopic,
		"fluxora/v1/a/reading/b/" + strings.Repeat("b", 60_000):          meter.UnknownRegister,
	} {
		_, _, _, err := topic.ParseReading(in)
		var e *topic.Error
		if !errors.As(err, &e) || e.Reason != reason || len(e.Detail) > 600 {
			t.Errorf("%.80q: %.300v, want %s", in, err, reason)
		}
	}
}

func TestOtherTopics(t *testing.T) {
	for got, want := range map[string]string{
		topic.ForecastTopic("s", "p"):       "fluxora/v1/s/forecast/p",
		topic.StatusTopic("s", "agent"):     "fluxora/v1/s/status/agent",
		topic.ReadingFilter("s"):            "fluxora/v1/s/reading/+/+",
		topic.ReadingTopic("s", "p", "x-y"): "fluxora/v1/s/reading/p/x-y",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestForecastRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := forecast.Forecast{
			Point: "D6396", Register: meter.EnergyImport, Levels: forecast.DefaultLevels(),
			Origin:       meter.Millis(rapid.Int64Range(0, 4e12).Draw(t, "origin")),
			Issued:       meter.Millis(rapid.Int64Range(0, 4e12).Draw(t, "issued")),
			Resolution:   time.Duration(rapid.IntRange(1, 1440).Draw(t, "minutes")) * time.Minute,
			Rung:         rapid.SampledFrom(forecast.Rungs()).Draw(t, "rung"),
			Model:        rapid.String().Draw(t, "model"),
			Completeness: rapid.Float64Range(0, 1).Draw(t, "completeness"),
		}
		f.Model = strings.ToValidUTF8(f.Model, "")
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			low := rapid.Float64Range(0, 1e14).Draw(t, "low")
			mid := math.Max(low, rapid.Float64Range(0, 1e14).Draw(t, "mid"))
			f.Values = append(f.Values, low, mid, mid)
		}
		got, err := topic.DecodeForecast(topic.EncodeForecast(f))
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("got %+v, %v, want %+v", got, err, f)
		}
	})
}

func FuzzDecodeForecast(f *testing.F) {
	f.Add(topic.EncodeForecast(forecast.Forecast{
		Point: "p", Register: meter.EnergyImport, Levels: []float64{0.5}, Resolution: time.Hour, Rung: forecast.Active, Model: "m", Values: []float64{1, 2.5},
	}))
	f.Add([]byte(`{"point":"p"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := topic.DecodeForecast(b)
		if err != nil {
			return
		}
		again, err := topic.DecodeForecast(topic.EncodeForecast(got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("got %+v, %v, want %+v", again, err, got)
		}
	})
}

func TestDecodeForecastRefuses(t *testing.T) {
	good := string(topic.EncodeForecast(forecast.Forecast{
		Point: "p", Register: meter.EnergyImport, Levels: []float64{0.5}, Resolution: time.Hour, Rung: forecast.Active, Values: []float64{1, 2.5},
	}))
	for _, change := range [][2]string{
		{`"Wh"`, `"kWh"`},
		{`PT1H`, `1h`},
		{`PT1H`, `PT60M`},
		{`"active"`, `"best"`},
		{`[2.5]`, `[2.5,3]`},
		{`[2.5]`, `[-1]`},
		{`[2.5]`, `["x"]`},
		{`01:00:00Z`, `02:00:00Z`},
		{`"rung"`, `"stage"`},
		{`]}`, `]} 1`},
		{`"completeness":0`, `"completeness":2`},
		{`energy-import`, `1.8.0`},
	} {
		in := strings.Replace(good, change[0], change[1], 1)
		if in == good {
			t.Fatalf("%q is not in %s", change[0], good)
		}
		if _, err := topic.DecodeForecast([]byte(in)); err == nil {
			t.Errorf("%s accepted", in)
		}
	}
}

func TestStatusRoundTrip(t *testing.T) {
	for _, want := range []topic.Status{{Online: true, Version: "1.0", At: 1795446000000}, {At: 5}} {
		if got, err := topic.DecodeStatus(topic.EncodeStatus(want)); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	for _, in := range []string{"", "online", `{"state":"up","at":"2026-11-23T15:00:00Z"}`, `{"state":"online","at":"now"}`} {
		if _, err := topic.DecodeStatus([]byte(in)); err == nil {
			t.Errorf("%q accepted", in)
		}
	}
}
