package recording

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// facts lists the columns of the meters' file that become facts of a site. Others, as mean_kwh, are left out on purpose: they
// say something of the readings to come.
var facts = []string{"floor_area_m2", "year_built", "n_users", "has_pv"}

// mostWeather bounds a weather series: ten years of five minutes.
const mostWeather = 1 << 20

// sites returns what is known of the site of each meter, by its id. A meter that the file does not name is missing from it.
// Weather was observed; it stands in for forecasts, which the files do not have.
func sites(f Files, n *Notes) (map[string]*feature.Site, error) {
	out := map[string]*feature.Site{}
	if f.Meters == "" {
		if f.Weather != "" {
			return nil, fmt.Errorf("%s: want a file of meters too, whose column weather_id says where each is", f.Weather)
		}
		return out, nil
	}
	weather, err := readWeather(f.Weather, n)
	if err != nil {
		return nil, err
	}
	err = eachRow(f.Meters, []string{"meter_id"}, append([]string{"weather_id"}, facts...), func(v []string) error {
		if v[0] == "" || out[v[0]] != nil {
			return fmt.Errorf("meter_id %q: want an id, each once", v[0])
		}
		s := &feature.Site{Country: f.Country, Facts: map[string]float64{}}
		for i, name := range facts {
			text := v[2+i]
			if text == "" {
				continue
			}
			n, err := strconv.ParseFloat(text, 64)
			if yes, not := strconv.ParseBool(text); err != nil && not == nil {
				if n, err = 0, nil; yes {
					n = 1
				}
			}
			if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
				return fmt.Errorf("%s %q: want a finite number, true or false, or nothing", name, text)
			}
			s.Facts[name] = n
		}
		if weather != nil && v[1] != "" {
			if s.Weather = weather[v[1]]; s.Weather == nil {
				return fmt.Errorf("weather_id %q: %s has only %s", v[1], f.Weather, strings.Join(slices.Sorted(maps.Keys(weather)), ", "))
			}
		}
		out[v[0]] = s
		return nil
	})
	return out, err
}

// readWeather reads weather by its id; nil without a path. Values that cannot be are missing, and counted.
func readWeather(path string, n *Notes) (map[string]*feature.Weather, error) {
	if path == "" {
		return nil, nil
	}
	type row struct {
		at          meter.Millis
		temp, light float64
	}
	rows := map[string][]row{}
	err := eachRow(path, []string{"weather_id", "timestamp", "temp_c"}, []string{"ghi_w_m2"}, func(v []string) error {
		at, err := time.Parse(time.RFC3339, v[1])
		if err != nil {
			return fmt.Errorf("timestamp %q: want RFC 3339, as 2024-01-31T06:00:00Z", v[1])
		}
		if at.Year() < 2000 || at.Year() > 2100 {
			return fmt.Errorf("timestamp %q: want a year from 2000 to 2100", v[1])
		}
		r := row{at: meter.MillisOf(at)}
		if r.temp, err = optionalNumber(v[2]); err != nil {
			return fmt.Errorf("temp_c %w", err)
		}
		if r.light, err = optionalNumber(v[3]); err != nil {
			return fmt.Errorf("ghi_w_m2 %w", err)
		}
		if r.temp == r.temp && !feature.PlausibleTemperature(r.temp) {
			r.temp, n.Implausible = math.NaN(), n.Implausible+1
		}
		if r.light == r.light && !feature.PlausibleRadiation(r.light) {
			r.light, n.Implausible = math.NaN(), n.Implausible+1
		}
		rows[v[0]] = append(rows[v[0]], r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[string]*feature.Weather{}
	for id, rs := range rows {
		slices.SortStableFunc(rs, func(a, b row) int { return cmp.Compare(a.at, b.at) })
		step := time.Duration(0)
		for i := 1; i < len(rs); i++ {
			if d := rs[i].at.Sub(rs[i-1].at); d > 0 && (step == 0 || d < step) {
				step = d
			}
		}
		s := feature.WeatherSeries{Start: rs[0].at, Resolution: max(step, time.Minute)}
		n := int(rs[len(rs)-1].at.Sub(s.Start)/s.Resolution) + 1
		if n > mostWeather {
			return nil, fmt.Errorf("%s: weather %s: %s from %s to %s: want at most %d intervals", path, id, s.Resolution, s.Start, rs[len(rs)-1].at, mostWeather)
		}
		s.Temperature, s.Radiation = unknown(n), unknown(n)
		for _, r := range rs {
			i := r.at.Sub(s.Start) / s.Resolution
			if s.Start.Add(i*s.Resolution) != r.at {
				return nil, fmt.Errorf("%s: weather %s: row at %s lies off the grid of %s that begins at %s", path, id, r.at, s.Resolution, s.Start)
			}
			s.Temperature[i], s.Radiation[i] = r.temp, r.light
		}
		w := &feature.Weather{Observed: s, Perfect: true}
		if err := w.Check(); err != nil {
			return nil, fmt.Errorf("%s: weather %s: %w", path, id, err)
		}
		out[id] = w
	}
	return out, nil
}

// optionalNumber reads a number, and NaN for nothing.
func optionalNumber(s string) (float64, error) {
	if s == "" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q: want a finite number or nothing", s)
	}
	return v, nil
}

func unknown(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}
