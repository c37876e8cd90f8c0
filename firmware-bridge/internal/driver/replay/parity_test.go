package replay

import (
	"os"
	"testing"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// TestReadingsGiveTheRecordingBack folds what the meters show into intervals again: the recorded energy of every hour to
// the watt-hour, and the energy of the hours around a missing one within them.
func TestReadingsGiveTheRecordingBack(t *testing.T) {
	const path = "../../../../../shared/data/readings.csv.gz"
	var all []*Series
	var err error
	if _, missing := os.Stat(path); missing != nil {
		t.Logf("synthetic buildings only, the real recording is not here: %v", missing)
		all, err = Synthetic(Profiles(), 5, 1, time.Hour)
	} else {
		all, err = ReadTable(path, Selection{Names: []string{"D6396", "D6397", "D6442"}}, nil, meter.EnergyImport, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		var samples []interval.Sample
		for at := s.Start; at <= s.End(); at = at.Add(20 * time.Minute) {
			if v, ok := s.Read(at); ok {
				samples = append(samples, interval.Sample{At: at, Value: v, Kind: meter.Counter})
			}
		}
		got, err := interval.Rebuild(samples, interval.Options{Resolution: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		sum, recovered := int64(0), 0
		for _, v := range got {
			i := int((v.Start - s.Start) / s.step())
			sum += int64(v.Energy)
			if v.Recovered {
				recovered++
				continue
			}
			if want := (s.sum[i+1] - s.sum[i]) / 1000; int64(v.Energy)-want > 1 || want-int64(v.Energy) > 1 || s.missing[i] {
				t.Fatalf("%s %s: %d Wh, recorded %d", s.Meter, v.Start, v.Energy, want)
			}
		}
		if len(got) != s.Len() || sum != (s.base()+s.sum[s.Len()])/1000-s.base()/1000 {
			t.Errorf("%s: %d intervals with %d Wh, recorded %d with %d", s.Meter, len(got), sum, s.Len(), s.sum[s.Len()]/1000)
		}
		if recovered < s.Missing() || recovered > 3*s.Missing() {
			t.Errorf("%s: %d recovered, %d missing", s.Meter, recovered, s.Missing())
		}
	}
}
