package ingest

import (
	"slices"
	"testing"

	"fluxora.dev/shared/meter"
)

func FuzzHeldBlocks(f *testing.F) {
	f.Add(encodeHeld("boot", []heldReading{
		{meter.Reading{Series: 1, At: 3_600_000, Value: 12_345, Quality: meter.Measured}, 5000},
		{meter.Reading{Series: 2, At: -1, Value: -7, Quality: meter.Suspect}, 4000},
		{meter.Reading{Series: 1<<32 - 1, At: 1 << 45, Value: 1 << 60, Quality: meter.Estimated}, 1 << 40},
	}))
	f.Add(encodeHeld("", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		boot, rs, err := decodeHeld(b)
		if err != nil {
			return
		}
		again, more, err := decodeHeld(encodeHeld(boot, rs))
		if err != nil || again != boot || !slices.Equal(more, rs) {
			t.Fatalf("%q %+v, %v, want %q %+v", again, more, err, boot, rs)
		}
	})
}

func TestLeapSecondInAMapping(t *testing.T) {
	p, err := parsePath("t")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]meter.Millis{
		"2016-12-31T23:59:60Z": 1_483_228_800_000, "2017-01-01T00:59:60+0100": 1_483_228_800_000, "2016-12-31T12:59:60Z": -1,
	} {
		at, _, err := (&document{payload: []byte(`{"t":"` + text + `"}`)}).instant(p)
		if want < 0 != (err != nil) || want >= 0 && at != want {
			t.Errorf("%s: %d, %v, want %d", text, at, err, want)
		}
	}
}
