package holiday_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fluxora.dev/shared/holiday"
)

func date(t *testing.T, s string) holiday.Date {
	t.Helper()
	d, err := holiday.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHolidaysOfCountries(t *testing.T) {
	for _, c := range []struct{ country, free, worked string }{
		{"NO", "2024-05-17 2024-03-28 2024-05-20 2024-12-24", "2024-12-23 2024-01-02"},
		{"PT", "2024-04-25 2024-05-30 2016-05-26", "2015-06-04 2013-10-05"},
		{"GB", "2022-09-19 2022-06-03 2020-05-08 2021-12-27 2021-12-28", "2022-05-30 2020-05-04"},
		{"GB-SCT", "2024-01-02 2024-12-02 2024-08-05", "2024-04-01 2024-08-26"},
		{"IE", "2023-02-06 2024-03-18", "2022-02-07"},
		{"DE", "2017-10-31 2024-10-03", "2024-10-31 2024-01-06"},
		{"DE-BY", "2024-01-06 2024-05-30", "2024-10-31"},
		{"NL", "2025-05-05 2016-05-05 2024-04-27", "2024-05-05 2024-03-29"},
		{"US", "2021-07-05 2024-11-28 2022-06-20", "2024-11-29"},
		{"US-CA", "2024-11-28", "2024-11-29"},
		{"AU-NSW", "2024-01-26 2024-10-07 2022-09-22", "2024-11-05"},
		{"AU-VIC", "2024-11-05", "2024-10-07"},
		{"CA-ON", "2024-02-19 2024-12-26", "2024-08-05"},
		{"NZ", "2024-06-28 2022-09-26", "2024-06-27"},
		{"JP", "2024-02-12 2024-09-23 2020-08-10 2021-07-22", "2020-08-11"},
		{"BR", "2024-02-12 2024-02-13 2024-11-20", "2023-11-20"},
		{"ZA", "2024-04-27 2024-09-24 2024-05-29", "2024-09-25"},
		{"CH-GE", "2024-09-05 2024-12-31", "2024-01-02"},
		{"FI", "2024-06-21 2024-11-02", "2024-06-20"},
		{"SE", "2024-06-21 2024-12-31", "2024-06-24"},
		{"HU", "2024-12-24 2024-03-29", "2016-03-25"},
		{"TR", "2024-04-12 2024-06-19", "2024-04-15"},
		{"RS", "2023-01-03 2024-02-15", "2024-01-03"},
		{"CY", "2024-03-18 2024-05-07", "2024-03-19"},
	} {
		k, err := holiday.Of(c.country)
		if err != nil {
			t.Error(err)
			continue
		}
		if k.Country() != c.country {
			t.Errorf("%s is named %s", c.country, k.Country())
		}
		for s := range strings.FieldsSeq(c.free) {
			if !k.Has(date(t, s)) {
				t.Errorf("%s: %s is no holiday", c.country, s)
			}
		}
		for s := range strings.FieldsSeq(c.worked) {
			if k.Has(date(t, s)) {
				t.Errorf("%s: %s is a holiday", c.country, s)
			}
		}
	}
}

func TestEveryCountryHasAYearOfHolidays(t *testing.T) {
	known := holiday.Known()
	for _, c := range strings.Fields("AD AL AT BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GR HR HU IE IS IT LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SK SM TR UA XK US CA AU NZ JP BR ZA") {
		if !slices.Contains(known, c) {
			t.Errorf("%s is not known", c)
		}
	}
	for _, c := range known {
		k, err := holiday.Of(c)
		if err != nil {
			t.Error(err)
			continue
		}
		for year := 2000; year < 2030; year++ {
			n := 0
			for d := holiday.On(year, 1, 1); d < holiday.On(year+1, 1, 1); d++ {
				if k.Has(d) {
					n++
				}
			}
			if n < 4 || n > 26 {
				t.Errorf("%s has %d holidays in %d", c, n, year)
			}
		}
	}
}

func TestUnknownCountriesNameWhatIsKnown(t *testing.T) {
	for country, want := range map[string]string{"UK": " GB ", "": " NO ", "norway": " NO ", "DE-XX": "DE-BY", "NO-": "one of NO", "US-texas": "one of US"} {
		if _, err := holiday.Of(country); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", country, err, want)
		}
	}
}

func TestFreeAndBridgeDays(t *testing.T) {
	no, err := holiday.Of("NO")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		date         string
		free, bridge bool
	}{
		{"2024-05-09", true, false}, {"2024-05-10", false, true}, {"2024-05-11", true, false}, {"2024-05-13", false, false}, // Ascension Day, a Thursday
		{"2024-12-27", false, true}, {"2024-12-30", false, false}, {"2025-05-02", false, true}, {"2022-05-16", false, true},
	} {
		if d := date(t, c.date); no.Free(d) != c.free || no.Bridge(d) != c.bridge {
			t.Errorf("%s: free %v, bridge %v", c.date, no.Free(d), no.Bridge(d))
		}
	}
	for _, d := range []holiday.Date{holiday.On(1900, 1, 1), holiday.On(2300, 1, 1)} {
		if no.Has(d) {
			t.Errorf("%s, outside of the calendar, is a holiday", d)
		}
	}
}

func TestDates(t *testing.T) {
	for d := holiday.On(1960, 1, 1); d < holiday.On(2030, 1, 1); d += 3 {
		day, err := time.Parse(time.DateOnly, d.String())
		if err != nil || int(day.Weekday()+6)%7 != d.Weekday() || date(t, d.String()) != d {
			t.Fatalf("%s: weekday %d, %v", d, d.Weekday(), err)
		}
	}
	var r holiday.Range
	if err := r.UnmarshalText([]byte("2024-12-21/2025-01-02")); err != nil || !r.Has(date(t, "2024-12-21")) || !r.Has(date(t, "2025-01-01")) || r.Has(date(t, "2025-01-02")) {
		t.Errorf("%s: %v", r, err)
	}
	if text, err := r.MarshalText(); err != nil || string(text) != "2024-12-21/2025-01-02" {
		t.Errorf("%s: %v", text, err)
	}
	for _, s := range []string{"", "2024-12-21", "2024-12-21/", "x/2024-12-21", "2024-12-21/2024-12-21", "2024-12-21/2024-12-20", "2024-12-21/2034-12-20", "2024-13-21/2025-01-02"} {
		if err := r.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("%q was taken for dates", s)
		}
	}
}
