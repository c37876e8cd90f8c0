package topic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// EncodeForecast returns the payload of a forecast, which must pass its Check: a JSON object with the fields point,
// register, unit (always "Wh", per interval), origin, resolution (ISO 8601, as PT15M), rung, model, completeness, issued,
// levels and steps, an array of {"start", "values"} with one value per level. Numbers keep every bit.
func EncodeForecast(f forecast.Forecast) []byte {
	b := make([]byte, 0, 512+f.Steps()*(48+20*len(f.Levels)))
	b = append(b, `{"point":`...)
	b = strconv.AppendQuote(b, f.Point)
	b = append(b, `,"register":`...)
	b = strconv.AppendQuote(b, string(f.Register))
	b = append(b, `,"unit":"Wh","origin":"`...)
	b = appendInstant(b, f.Origin)
	b = append(b, `","resolution":"`+FormatResolution(f.Resolution)+`","rung":`...)
	b = strconv.AppendQuote(b, string(f.Rung))
	if f.Model != "" {
		model, _ := json.Marshal(f.Model)
		b = append(append(b, `,"model":`...), model...)
	}
	b = append(b, `,"completeness":`...)
	b = strconv.AppendFloat(b, f.Completeness, 'g', -1, 64)
	b = append(b, `,"issued":"`...)
	b = appendInstant(b, f.Issued)
	b = append(b, `","levels":`...)
	b = appendFloats(b, f.Levels)
	b = append(b, `,"steps":[`...)
	for step := 1; step <= f.Steps(); step++ {
		if step > 1 {
			b = append(b, ',')
		}
		b = append(b, `{"start":"`...)
		b = appendInstant(b, f.Start(step))
		b = append(b, `","values":`...)
		n := len(f.Levels)
		b = appendFloats(b, f.Values[(step-1)*n:step*n])
		b = append(b, '}')
	}
	return append(b, `]}`...)
}

func appendFloats(b []byte, values []float64) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return append(b, ']')
}

// forecastPayload is what DecodeForecast reads; EncodeForecast writes the same by hand.
type forecastPayload struct {
	Point        string         `json:"point"`
	Register     meter.Register `json:"register"`
	Unit         string         `json:"unit"`
	Origin       time.Time      `json:"origin"`
	Resolution   string         `json:"resolution"`
	Rung         forecast.Rung  `json:"rung"`
	Model        string         `json:"model"`
	Completeness float64        `json:"completeness"`
	Issued       time.Time      `json:"issued"`
	Levels       []float64      `json:"levels"`
	Steps        []struct {
		Start  time.Time `json:"start"`
		Values []float64 `json:"values"`
	} `json:"steps"`
}

// DecodeForecast reads what EncodeForecast wrote. The error is an *Error with reason malformed or too large.
func DecodeForecast(b []byte) (forecast.Forecast, error) {
	if len(b) > MaxPayload {
		return forecast.Forecast{}, refuse(meter.TooLarge, "forecast of %d bytes: want at most %d", len(b), MaxPayload)
	}
	f, err := decodeForecast(b)
	if err != nil {
		return forecast.Forecast{}, refuse(meter.Malformed, "forecast: %v", err)
	}
	return f, nil
}

func decodeForecast(b []byte) (forecast.Forecast, error) {
	var p forecastPayload
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return forecast.Forecast{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return forecast.Forecast{}, errors.New("want nothing after the object")
	}
	resolution, err := parseResolution(p.Resolution)
	if err != nil {
		return forecast.Forecast{}, err
	}
	f := forecast.Forecast{
		Point: p.Point, Register: p.Register, Origin: meter.MillisOf(p.Origin), Resolution: resolution, Levels: p.Levels,
		Rung: p.Rung, Model: p.Model, Completeness: p.Completeness, Issued: meter.MillisOf(p.Issued),
	}
	if p.Unit != "Wh" {
		return f, fmt.Errorf("unit %s: want Wh", shorten(p.Unit))
	}
	if info, err := meter.LookupRegister(string(p.Register)); err != nil || info.Name != p.Register {
		return f, fmt.Errorf("register %s: want a register's name", shorten(string(p.Register)))
	}
	if !(p.Completeness >= 0 && p.Completeness <= 1) {
		return f, fmt.Errorf("completeness %g: want 0 to 1", p.Completeness)
	}
	for i, s := range p.Steps {
		if len(s.Values) != len(p.Levels) {
			return f, fmt.Errorf("step %d has %d values for %d levels", i+1, len(s.Values), len(p.Levels))
		}
		if start := meter.MillisOf(s.Start); start != f.Start(i+1) {
			return f, fmt.Errorf("step %d starts at %s, want %s", i+1, start, f.Start(i+1))
		}
		f.Values = append(f.Values, s.Values...)
	}
	return f, f.Check()
}

// FormatResolution writes d as ISO 8601 has it, as PT1H30M.
func FormatResolution(d time.Duration) string {
	s := "PT"
	if h := d / time.Hour; h > 0 {
		s += strconv.Itoa(int(h)) + "H"
	}
	if m := d % time.Hour / time.Minute; m > 0 {
		s += strconv.Itoa(int(m)) + "M"
	}
	if sec := d % time.Minute; sec > 0 || s == "PT" {
		s += strconv.FormatFloat(sec.Seconds(), 'f', -1, 64) + "S"
	}
	return s
}

// parseResolution reads the hours, minutes and seconds that FormatResolution writes.
func parseResolution(s string) (time.Duration, error) {
	rest, ok := strings.CutPrefix(s, "PT")
	d, err := time.ParseDuration(strings.ToLower(rest))
	if !ok || err != nil || d < time.Minute || d > 24*time.Hour || FormatResolution(d) != s {
		return 0, fmt.Errorf("resolution %s: want an ISO 8601 duration from PT1M to PT24H", shorten(s))
	}
	return d, nil
}
