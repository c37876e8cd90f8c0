package topic_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
	"pgregory.net/rapid"
)

func register(t testing.TB, name string) meter.RegisterInfo {
	t.Helper()
	r, err := meter.LookupRegister(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDecodeReadings(t *testing.T) {
	const at = `"t":"2026-11-23T15:00:00Z"`
	when := meter.MillisOf(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	for _, tc := range []struct {
		name, register, in string
		want               []topic.Payload
	}{
		{"least", "1.8.0", `{` + at + `,"v":12}`, []topic.Payload{{At: when, Value: 12_000, Kind: meter.Counter}}},
		{"kWh", "1.8.0", `{"v":12345.678901,"unit":"kWh",` + at + `}`, []topic.Payload{{At: when, Value: 12_345_678_901, Kind: meter.Counter}}},
		{"unit after value", "1.8.0", `{"v":1.5,"modulus":100000,` + at + `,"unit":"MWh"}`, []topic.Payload{{At: when, Value: 1_500_000_000, Kind: meter.Counter, Modulus: 1e14}}},
		{"milliseconds", "1.8.0", `{"t":1795446000000,"v":1,"unit":"mWh"}`, []topic.Payload{{At: 1795446000000, Value: 1, Kind: meter.Counter}}},
		{"offset and fraction", "1.8.0", `{"t":"2026-11-23T16:30:00.1239+01:30","v":0}`, []topic.Payload{{At: when + 123, Kind: meter.Counter}}},
		{"power", "power-import", ` { "t" : "2026-11-23T15:00:00Z" , "v" : -1.25e1 , "unit" : "W" } `, []topic.Payload{{At: when, Value: -12_500, Kind: meter.Power}}},
		{"every field", "1.8.0", `{` + at + `,"v":7,"unit":"Wh","meter":"K-17","kind":"energy","q":"estimated"}`, []topic.Payload{{At: when, Value: 7000, Meter: "K-17", Kind: meter.Energy, Quality: meter.Estimated}}},
		{"escapes", "1.8.0", `{"\u0074":"2026-11-23T15:00:00Z","v":7,"meter":"\u0041b"}`, []topic.Payload{{At: when, Value: 7000, Meter: "Ab", Kind: meter.Counter}}},
		{"array", "1.8.0", "[{" + at + `,"v":1,"meter":"A"},` + "\n{" + at + `,"v":2,"meter":"A"} , {` + at + `,"v":3}]`, []topic.Payload{
			{At: when, Value: 1000, Meter: "A", Kind: meter.Counter}, {At: when, Value: 2000, Meter: "A", Kind: meter.Counter}, {At: when, Value: 3000, Kind: meter.Counter},
		}},
		{"before 1970", "1.8.0", `{"t":"1969-12-31T23:59:59Z","v":1}`, []topic.Payload{{At: -1000, Value: 1000, Kind: meter.Counter}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := topic.DecodeReadings(nil, []byte(tc.in), register(t, tc.register))
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	const at = `"t":"2026-11-23T15:00:00Z"`
	long := strings.Repeat("9", 100_000)
	many := "[" + strings.Repeat("{"+at+`,"v":1},`, topic.MaxReadings) + "{" + at + `,"v":1}]`
	for _, tc := range []struct {
		name, in string
		reason   meter.Reason
		detail   string // part of it
	}{
		{"empty", "", meter.Malformed, "ends at byte 0"},
		{"plain number", "12.5", meter.Malformed, "want a reading"},
		{"cut off", `{` + at + `,"v":1`, meter.Malformed, "ends"},
		{"two objects", `{` + at + `,"v":1} {`, meter.Malformed, "nothing after"},
		{"empty array", `[]`, meter.Malformed, "want a reading"},
		{"trailing comma", `[{` + at + `,"v":1},]`, meter.Malformed, "reading 2"},
		{"trailing comma in object", `{` + at + `,"v":1,}`, meter.Malformed, "field name"},
		{"array in array", `[[{` + at + `,"v":1}]]`, meter.Malformed, "want a reading"},
		{"deep nesting", strings.Repeat("[", 500_000), meter.Malformed, "want a reading"},
		{"nested value", `{` + at + `,"v":{"a":1}}`, meter.BadValue, "field v"},
		{"no t", `{"v":1}`, meter.Malformed, "field t is missing"},
		{"no v", `{` + at + `}`, meter.Malformed, "field v is missing"},
		{"empty object", `{}`, meter.Malformed, "field t is missing"},
		{"repeated", `{` + at + `,"v":1,"v":2}`, meter.Malformed, `"v" twice`},
		{"unknown field", `{` + at + `,"v":1,"power":2}`, meter.UnknownField, `"power"`},
		{"field in capitals", `{` + at + `,"V":1}`, meter.UnknownField, `"V"`},
		{"quoted number", `{` + at + `,"v":"1"}`, meter.BadValue, "without quotes"},
		{"NaN", `{` + at + `,"v":NaN}`, meter.BadValue, "field v"},
		{"Infinity", `{` + at + `,"v":-Infinity}`, meter.BadValue, ""},
		{"null", `{` + at + `,"v":null}`, meter.BadValue, ""},
		{"true", `{` + at + `,"v":true}`, meter.BadValue, ""},
		{"leading zero", `{` + at + `,"v":01}`, meter.BadValue, "not a number"},
		{"plus", `{` + at + `,"v":+1}`, meter.BadValue, "not a number"},
		{"bare point", `{` + at + `,"v":.5}`, meter.BadValue, ""},
		{"comma", `{` + at + `,"v":1,5}`, meter.Malformed, "field name"},
		{"hexadecimal", `{` + at + `,"v":0x10}`, meter.BadValue, ""},
		{"too large", `{` + at + `,"v":9223372036854775.808}`, meter.BadValue, "too large"},
		{"huge exponent", `{` + at + `,"v":1e999999999999999999999}`, meter.BadValue, "too large"},
		{"many digits", `{` + at + `,"v":` + long + `}`, meter.BadValue, "too large"},
		{"time without zone", `{"t":"2026-11-23T15:00:00","v":1}`, meter.BadTime, "with a zone"},
		{"time with blank", `{"t":"2026-11-23 15:00:00Z","v":1}`, meter.BadTime, ""},
		{"30 February", `{"t":"2026-02-30T15:00:00Z","v":1}`, meter.BadTime, ""},
		{"25 o'clock", `{"t":"2026-02-20T25:00:00Z","v":1}`, meter.BadTime, ""},
		{"time as fraction", `{"t":1795446000.5,"v":1}`, meter.BadTime, "whole milliseconds"},
		{"time with exponent", `{"t":1e12,"v":1}`, meter.BadTime, ""},
		{"time null", `{"t":null,"v":1}`, meter.BadTime, ""},
		{"time too far", `{"t":999999999999999999,"v":1}`, meter.BadTime, ""},
		{"unknown unit", `{` + at + `,"v":1,"unit":"kwh"}`, meter.BadUnit, "kwh"},
		{"empty unit", `{` + at + `,"v":1,"unit":""}`, meter.BadUnit, "empty"},
		{"unit of power", `{` + at + `,"v":1,"unit":"kW"}`, meter.BadUnit, "does not fit"},
		{"unit is a number", `{` + at + `,"v":1,"unit":3}`, meter.Malformed, "want a string"},
		{"unknown kind", `{` + at + `,"v":1,"kind":"gauge"}`, meter.BadKind, "gauge"},
		{"kind of power", `{` + at + `,"v":1,"kind":"power"}`, meter.BadKind, "does not fit"},
		{"unknown quality", `{` + at + `,"v":1,"q":"good"}`, meter.BadQuality, "good"},
		{"missing is no reading", `{` + at + `,"v":1,"q":"missing"}`, meter.BadQuality, ""},
		{"meter with blank", `{` + at + `,"v":1,"meter":"a b"}`, meter.BadMeter, "a b"},
		{"empty meter", `{` + at + `,"v":1,"meter":""}`, meter.BadMeter, "empty"},
		{"modulus zero", `{` + at + `,"v":1,"modulus":0}`, meter.BadValue, "modulus"},
		{"modulus of energy", `{` + at + `,"v":1,"modulus":10,"kind":"energy"}`, meter.BadValue, "modulus"},
		{"invalid UTF-8", "{" + at + ",\"v\":1,\"meter\":\"a\xff\"}", meter.Malformed, "UTF-8"},
		{"invalid UTF-8 as field", "{\"\xc3(\":1}", meter.Malformed, "UTF-8"},
		{"control character", "{\"t\n\":1}", meter.Malformed, "control"},
		{"byte order mark", "\ufeff{" + at + `,"v":1}`, meter.Malformed, ""},
		{"10 MB", strings.Repeat(" ", 10<<20), meter.TooLarge, "10485760 bytes"},
		{"10,001 readings", many, meter.TooLarge, "10000"},
		{"one bad among good", `[{` + at + `,"v":1},{` + at + `,"v":x}]`, meter.BadValue, "reading 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := []topic.Payload{{Value: 1}}
			got, err := topic.DecodeReadings(before, []byte(tc.in), register(t, "1.8.0"))
			var e *topic.Error
			if !errors.As(err, &e) || e.Reason != tc.reason || !strings.Contains(e.Detail, tc.detail) {
				t.Fatalf("error %v, want %s with %q", err, tc.reason, tc.detail)
			}
			if len(got) != 1 || len(e.Detail) > 1000 || !utf8.ValidString(e.Detail) {
				t.Errorf("%d readings left, detail of %d bytes", len(got), len(e.Detail))
			}
		})
	}
}

func TestParseDecimal(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-0": 0, "1": 1000, "-1.5": -1500, "0.0005": 0, "0.0015": 2, "0.0025": 2, "0.00250000000000000000000001": 3,
		"0.0024999999999999999999999": 2, "9223372036854775.807": 9223372036854775807, "-9223372036854775.807": -9223372036854775807,
		"1e3": 1_000_000, "1E-3": 1, "0e999999999": 0, "1e-999999999": 0, "0.000000000000000000000000000001e30": 1000,
		"1234567890123456.7894": 1234567890123456789, "1234567890123456.78950000": 1234567890123456790, "1234567890123456.7885": 1234567890123456788,
		"100000000000000000000e-20": 1000, "12345678901234567890123456789e-25": 1234568,
	} {
		if got, err := topic.ParseDecimal([]byte(in), 3); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-", "+1", "1.", ".1", "1e", "1e+", "01", "-01", "1 ", " 1", "1,5", "0x1", "NaN", "Inf", "1e19", "9223372036854775.8075", "1_000"} {
		if got, err := topic.ParseDecimal([]byte(in), 3); err == nil {
			t.Errorf("%q: %d, want an error", in, got)
		}
	}
}

// FuzzParseDecimal compares with exact rationals.
func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "0.0005", "9223372036854775.8075", "1e3", "99999999999999999999.5e-3", "0.00000000000000000000000000000001e20", "1234567890123456789.5", "1234567890123456789012345e-8"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, exp int) {
		if len(s) > 60 || exp < -20 || exp > 20 {
			return
		}
		got, err := topic.ParseDecimal([]byte(s), exp)
		if valid := json.Valid([]byte(s)) && s != "" && s == strings.TrimSpace(s) && (s[0] == '-' || s[0]-'0' <= 9); !valid {
			if err == nil {
				t.Fatalf("%q is %d, want an error", s, got)
			}
			return
		}
		if i := strings.IndexAny(s, "eE"); i >= 0 {
			if e, err := strconv.Atoi(s[i+1:]); err != nil || e > 200 || e < -200 {
				return
			}
		}
		exact, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("big.Rat cannot read %q", s)
		}
		ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil)
		if exp >= 0 {
			exact.Mul(exact, new(big.Rat).SetInt(ten))
		} else {
			exact.Quo(exact, new(big.Rat).SetInt(ten))
		}
		want := roundHalfEven(exact)
		if !want.IsInt64() || want.Int64() == -1<<63 {
			if err == nil {
				t.Fatalf("%q × 10^%d is %d, want too large", s, exp, got)
			}
			return
		}
		if err != nil || got != want.Int64() {
			t.Fatalf("%q × 10^%d is %d, %v, want %s", s, exp, got, err, want)
		}
	})
}

func roundHalfEven(r *big.Rat) *big.Int {
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	switch new(big.Int).Mul(m, big.NewInt(2)).Cmp(r.Denom()) {
	case 1:
		q.Add(q, big.NewInt(1))
	case 0:
		if q.Bit(0) == 1 {
			q.Add(q, big.NewInt(1))
		}
	}
	return q
}

// FuzzDecodeReadings compares with encoding/json: whatever is accepted must be JSON that says the same, and whatever
// encoding/json reads into the strict struct below must be accepted.
func FuzzDecodeReadings(f *testing.F) {
	for _, s := range []string{
		`{"t":"2026-11-23T15:00:00Z","v":12}`, `[{"t":1,"v":-1e3,"unit":"kWh","meter":"a\u0041"},{"v":0.5,"t":"2024-02-29T23:59:59.999-12:34"}]`,
		`{"t":1,"v":1,"q":"suspect","kind":"energy"}`, `{"t":1,"v":1,"modulus":5}`, `{}`, `[]`, "{\"t\":1,\"v\":1,\"meter\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	type field struct {
		T       json.RawMessage `json:"t"`
		V       json.Number     `json:"v"`
		Unit    string          `json:"unit"`
		Meter   string          `json:"meter"`
		Kind    string          `json:"kind"`
		Modulus json.Number     `json:"modulus"`
		Q       string          `json:"q"`
	}
	info := register(f, "energy-import")
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := topic.DecodeReadings(nil, b, info)
		if err != nil {
			return
		}
		var want []field
		if strings.HasPrefix(strings.TrimLeft(string(b), " \t\r\n"), "[") {
			err = json.Unmarshal(b, &want)
		} else {
			want = make([]field, 1)
			err = json.Unmarshal(b, &want[0])
		}
		if err != nil || len(want) != len(got) {
			t.Fatalf("accepted %q as %+v, encoding/json has %v, %+v", b, got, err, want)
		}
		for i, w := range want {
			if w.Meter != got[i].Meter || w.Kind != "" && w.Kind != got[i].Kind.String() || w.Q != "" && w.Q != got[i].Quality.String() {
				t.Fatalf("reading %d of %q is %+v, encoding/json has %+v", i, b, got[i], w)
			}
			exp, err := topic.Exponent(w.Unit, info)
			if err != nil {
				t.Fatal(err)
			}
			if v, err := topic.ParseDecimal([]byte(w.V), exp); err != nil || v != got[i].Value {
				t.Fatalf("value %d of %q is %d, want %d, %v", i, b, got[i].Value, v, err)
			}
			var at meter.Millis
			if w.T[0] == '"' {
				var s string
				if err := json.Unmarshal(w.T, &s); err != nil {
					t.Fatal(err)
				}
				leap := time.Duration(0) // package time knows no leap seconds
				if len(s) > 19 && s[16:19] == ":60" {
					s, leap = s[:16]+":59"+s[19:], time.Second
				}
				full, err := time.Parse(time.RFC3339, s)
				if err != nil {
					t.Fatalf("accepted time %q: %v", s, err)
				}
				at = meter.MillisOf(full.Add(leap))
			} else if err := json.Unmarshal(w.T, (*int64)(&at)); err != nil {
				t.Fatal(err)
			}
			if at != got[i].At {
				t.Fatalf("time %d of %q is %s, want %s", i, b, got[i].At, at)
			}
		}
		again, err := topic.DecodeReadings(nil, topic.EncodeReadings(nil, got, "Wh"), info)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("encoded and decoded: %+v, %v, want %+v", again, err, got)
		}
	})
}

func TestSpecialInstants(t *testing.T) {
	for s, want := range map[string]meter.Millis{
		"2016-12-31T23:59:60Z":      1_483_228_800_000,
		"2016-12-31T23:59:60.5Z":    1_483_228_800_500,
		"2017-01-01T05:44:60+05:45": 1_483_228_800_000,
		"2017-01-01T00:59:60+01:00": 1_483_228_800_000,
		"2016-12-31T23:58:60Z":      -1,
		"2016-12-31T12:59:60Z":      -1,
		"2016-12-31T23:59:61Z":      -1,
		"1970-01-01T00:00:00Z":      0,
		"2038-01-19T03:14:08Z":      1 << 31 * 1000, // the first second that 32 bits cannot hold
		"2106-02-07T06:28:16Z":      1 << 32 * 1000,
		"2026-03-29T02:30:00+01:00": 1_774_747_800_000, // an hour that clocks on the wall skip
		"2026-10-25T02:30:00+02:00": 1_792_888_200_000, // and the two that they show twice
		"2026-10-25T02:30:00+01:00": 1_792_891_800_000,
		"9999-12-31T23:59:59.999Z":  253_402_300_799_999,
	} {
		got, err := topic.DecodeReadings(nil, []byte(`{"t":"`+s+`","v":1}`), meter.Registers()[0])
		if want < 0 {
			if err == nil {
				t.Errorf("%s is %s, want an error", s, got[0].At)
			}
			continue
		}
		if err != nil || got[0].At != want {
			t.Errorf("%s: %v, %v, want %d", s, got, err, want)
		}
	}
}

func TestInstantsAgreeWithTimePackage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(-62_135_596_800_000, 253_402_200_000_000).Draw(t, "at"))
		zone := time.FixedZone("", rapid.IntRange(-23*60, 23*60).Draw(t, "offset")*60)
		s := at.In(zone).Format("2006-01-02T15:04:05.000Z07:00")
		if len(s) > 4 && s[4] != '-' || s[0] == '-' {
			return // the zone moved it out of four-digit years
		}
		got, err := topic.DecodeReadings(nil, []byte(`{"t":"`+s+`","v":1}`), meter.Registers()[0])
		if err != nil || got[0].At != meter.MillisOf(at) {
			t.Fatalf("%s: %v, %v", s, got, err)
		}
	})
}

func TestEncodeReadingsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"energy-export", "power-import"}).Draw(t, "register")
		info, err := meter.LookupRegister(name)
		if err != nil {
			t.Fatal(err)
		}
		units := map[string][]string{"Wh": {"", "mWh", "Wh", "kWh", "MWh"}, "W": {"", "mW", "W", "kW", "MW"}}[info.Unit]
		unit := rapid.SampledFrom(units).Draw(t, "unit")
		var want []topic.Payload
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			p := topic.Payload{
				At:      meter.Millis(rapid.Int64Range(-62_135_596_800_000, 253_402_300_799_999).Draw(t, "at")),
				Value:   rapid.Int64Range(-1<<63+1, 1<<63-1).Draw(t, "value"),
				Meter:   rapid.SampledFrom([]string{"", "A", "B-2"}).Draw(t, "meter"),
				Kind:    info.Kind,
				Quality: rapid.SampledFrom([]meter.Quality{meter.Measured, meter.Edited, meter.Suspect}).Draw(t, "quality"),
			}
			if info.Kind == meter.Counter && rapid.Bool().Draw(t, "energy") {
				p.Kind = meter.Energy
			} else if info.Kind == meter.Counter {
				p.Modulus = rapid.Int64Range(0, 1<<62).Draw(t, "modulus")
			}
			want = append(want, p)
		}
		b := topic.EncodeReadings(nil, want, unit)
		got, err := topic.DecodeReadings(nil, b, info)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %+v, %v, want %+v", b, got, err, want)
		}
	})
}

func hundred() []byte {
	var readings []topic.Payload
	for i := range 100 {
		readings = append(readings, topic.Payload{At: 1795446000000 + meter.Millis(i)*5000, Value: 12_345_678_901 + int64(i)*1717, Meter: "D6396", Kind: meter.Counter})
	}
	return topic.EncodeReadings(nil, readings, "kWh")
}

func TestDecodeAllocatesOnce(t *testing.T) {
	b, info := hundred(), register(t, "1.8.0")
	dst := make([]topic.Payload, 0, 100)
	allocs := testing.AllocsPerRun(20, func() {
		var err error
		if dst, err = topic.DecodeReadings(dst[:0], b, info); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 1 { // the serial number
		t.Errorf("%g allocations for 100 readings, want 1", allocs)
	}
}

func BenchmarkDecode100(b *testing.B) {
	in, info := hundred(), register(b, "1.8.0")
	var dst []topic.Payload
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = topic.DecodeReadings(dst[:0], in, info); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode100(b *testing.B) {
	readings, err := topic.DecodeReadings(nil, hundred(), register(b, "1.8.0"))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = topic.EncodeReadings(dst[:0], readings, "kWh")
	}
}
