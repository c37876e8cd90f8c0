package replay

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"fluxora.dev/shared/meter"
)

// shape is what a kind of building does with energy, in watts of an average one.
type shape struct {
	base     float64     // always
	weekday  [24]float64 // by local hour, on top of the base
	weekend  [24]float64 //
	heating  float64     // per degree below 17 °C
	cooling  float64     // per degree above 22 °C, on weekdays at work
	vacation bool        // closed in July and around New Year
	pv       float64     // peak of the panels
	spikes   float64     // kettles, ovens: mean power of what comes and goes
	size     [2]float64  // smallest and largest, times the average
	climate  [2]float64  // mean temperature and its swing over the year, °C
	_        [0]struct{} // keyed literals only
}

func hours(parts ...float64) (out [24]float64) { // triples: from, to, watts
	for i := 0; i+2 < len(parts); i += 3 {
		for h := int(parts[i]); h < int(parts[i+1]); h++ {
			out[h] += parts[i+2]
		}
	}
	return out
}

var shapes = map[string]shape{
	"office":  {base: 6000, weekday: hours(6, 8, 6000, 8, 17, 22000, 17, 19, 7000), weekend: hours(10, 15, 1500), heating: 900, cooling: 1400, spikes: 2500, size: [2]float64{0.4, 2}, climate: [2]float64{9, 10}},
	"school":  {base: 5000, weekday: hours(6, 8, 9000, 8, 15, 24000, 15, 21, 6000), weekend: hours(9, 17, 1500), heating: 1500, vacation: true, spikes: 2500, size: [2]float64{0.4, 2.5}, climate: [2]float64{7, 11}},
	"bakery":  {base: 2500, weekday: hours(1, 3, 9000, 3, 8, 21000, 8, 12, 9000, 12, 18, 4000), weekend: hours(1, 3, 9000, 3, 8, 16000, 8, 12, 5000), cooling: 150, heating: 100, spikes: 3000, size: [2]float64{0.5, 1.6}, climate: [2]float64{10, 9}},
	"home":    {base: 180, weekday: hours(6, 8, 600, 8, 16, 150, 16, 22, 900), weekend: hours(8, 12, 700, 12, 22, 650), heating: 45, spikes: 350, size: [2]float64{0.6, 1.8}, climate: [2]float64{10, 9}},
	"home-pv": {base: 200, weekday: hours(6, 8, 600, 8, 16, 200, 16, 22, 900), weekend: hours(8, 12, 700, 12, 22, 650), heating: 90, spikes: 350, pv: 6000, size: [2]float64{0.6, 1.8}, climate: [2]float64{10, 9}},
}

// Profiles lists the names of the built-in profiles.
func Profiles() []string {
	var names []string
	for n := range shapes {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// profileStart is when every synthetic recording begins: a Monday. Three whole years follow.
var profileStart = time.Date(2023, 1, 2, 0, 0, 0, 0, time.UTC)

const profileWeeks = 157

// Synthetic returns count recordings of buildings of the named profiles in turn, the same for the same seed. Those with
// panels have a second series, of what they send to the grid.
func Synthetic(profiles []string, count int, seed uint64, resolution time.Duration) ([]*Series, error) {
	if resolution == 0 {
		resolution = time.Hour
	}
	if resolution < time.Minute || time.Hour%resolution != 0 {
		return nil, fmt.Errorf("resolution %s of synthetic profiles: want one minute to one hour, and a part of it", resolution)
	}
	for _, p := range profiles {
		if _, ok := shapes[p]; !ok {
			return nil, fmt.Errorf("profile %q: want one of %s", p, strings.Join(Profiles(), ", "))
		}
	}
	var out []*Series
	for i := range count {
		kind := profiles[i%len(profiles)]
		name := fmt.Sprintf("%s-%d", kind, i/len(profiles)+1)
		in, ex := simulate(shapes[kind], name, seed, resolution)
		s := newSeries(name, meter.EnergyImport, meter.MillisOf(profileStart), resolution, in)
		s.Category = kind
		out = append(out, s)
		if shapes[kind].pv > 0 {
			s := newSeries(name, meter.EnergyExport, meter.MillisOf(profileStart), resolution, ex)
			s.Category = kind
			out = append(out, s)
		}
	}
	return out, nil
}

// simulate returns the energies from and to the grid, mWh. All buildings share the weather of their seed, as neighbours do.
func simulate(sh shape, name string, seed uint64, resolution time.Duration) (in, out []int64) {
	h := fnv.New64a()
	h.Write([]byte(name))
	weather, own := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, h.Sum64()))
	size := sh.size[0] + own.Float64()*(sh.size[1]-sh.size[0])
	early := own.NormFloat64() * 0.5 // hours that people here are ahead of others
	perHour := int(time.Hour / resolution)
	share := resolution.Hours()
	cold, cloud, mood, busy := 0.0, 0.5, 0.0, 0.0
	for d := range profileWeeks * 7 {
		day := profileStart.AddDate(0, 0, d)
		season := math.Cos(2 * math.Pi * (float64(day.YearDay()) - 20) / 365.25)
		cold = 0.8*cold + 2*weather.NormFloat64()
		cloud = min(1, max(0, 0.6*cloud+0.4*weather.Float64()))
		mood = 0.7*mood + 0.05*own.NormFloat64()
		closed := sh.vacation && (day.Month() == time.July || day.Month() == time.December && day.Day() > 22 || day.YearDay() < 3)
		plan := sh.weekday
		if wd := day.Weekday(); closed || wd == time.Saturday || wd == time.Sunday {
			plan = sh.weekend
		}
		for step := range 24 * perHour {
			t := float64(step) / float64(perHour)
			temperature := sh.climate[0] - sh.climate[1]*season + cold + 4*math.Cos(2*math.Pi*(t-15)/24)
			at := math.Mod(t+early+24, 24)
			now, next := plan[int(at)], plan[(int(at)+1)%24]
			active := now + (next-now)*math.Pow(at-math.Floor(at), 3)
			busy = 0.5*busy + 0.5*own.ExpFloat64()
			watts := sh.base + active*(1+mood) + sh.heating*max(0, 17-temperature) + sh.spikes*busy*(0.2+active/30000)
			if active > sh.base/4 {
				watts += sh.cooling * max(0, temperature-22)
			}
			watts *= size * (1 + 0.03*own.NormFloat64())
			daylight := 12 - 5*season
			sun := max(0, math.Cos(math.Pi*(t+0.5/float64(perHour)-12.5)/daylight))
			if math.Abs(t-12.5) > daylight/2 {
				sun = 0
			}
			watts -= sh.pv * size * sun * sun * (1 - 0.45*season) * 0.6 * (1.1 - cloud*(0.7+0.3*weather.Float64()))
			in = append(in, int64(max(0, watts)*share)*1000)
			out = append(out, int64(max(0, -watts)*share)*1000)
		}
	}
	return in, out
}
