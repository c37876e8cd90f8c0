package wire_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	meterv1 "fluxora.dev/proto/fluxora/meter/v1"
	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

// pass sends m through its encoding.
func pass[M proto.Message](t *rapid.T, m M) M {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(b, got); err != nil {
		t.Fatal(err)
	}
	return got.(M)
}

func same(t *rapid.T, want, got any, err error) {
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

var (
	names    = rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`)
	instants = rapid.Map(rapid.Int64(), func(n int64) meter.Millis { return meter.Millis(n) })
	texts    = rapid.StringN(0, 100, 400)
)

func received(t *rapid.T) wire.Received {
	r := wire.Received{Cursor: rapid.Uint64Range(1, 1<<40).Draw(t, "cursor")}
	at := r.Cursor
	for range rapid.IntRange(0, 5).Draw(t, "ranges") {
		first := at + rapid.Uint64Range(1, 1000).Draw(t, "gap")
		at = first + rapid.Uint64Range(1, 1000).Draw(t, "length")
		r.Beyond = append(r.Beyond, wire.Range{First: first, End: at})
	}
	return r
}

func TestSessionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next := rapid.Uint64Range(1, 1<<62).Draw(t, "next")
		h := wire.Hello{
			Version: texts.Draw(t, "version"), Epoch: rapid.Uint64().Draw(t, "epoch"), Next: next, Pending: rapid.Uint64Range(0, next-1).Draw(t, "pending"),
			Now: instants.Draw(t, "now"), ConfigRevision: rapid.Uint64().Draw(t, "revision"),
			Lineage: rapid.SampledFrom([]*wire.Lineage{nil, {}, {Last: []byte{1, 2}, Receipt: []byte{3}, Next: []byte{4}}}).Draw(t, "lineage"),
		}
		gotHello, err := wire.DecodeHello(pass(t, wire.EncodeHello(h)))
		same(t, h, gotHello, err)

		w := wire.Welcome{Received: received(t), Now: instants.Draw(t, "hub now"), MaxInFlight: rapid.Uint64().Draw(t, "window"), Receipt: rapid.SampledFrom([][]byte{nil, {1}}).Draw(t, "receipt")}
		gotWelcome, err := wire.DecodeWelcome(pass(t, wire.EncodeWelcome(w)))
		same(t, w, gotWelcome, err)

		first := rapid.Uint64Range(1, 1<<40).Draw(t, "first")
		r := wire.Range{First: first, End: first + rapid.Uint64Range(1, 1<<20).Draw(t, "length")}
		a := wire.Ack{Range: r, Cursor: w.Cursor}
		gotAck, err := wire.DecodeAck(pass(t, wire.EncodeAck(a)))
		same(t, a, gotAck, err)

		o := wire.Overlap{Range: r, Received: w.Received}
		gotOverlap, err := wire.DecodeOverlap(pass(t, wire.EncodeOverlap(o)))
		same(t, o, gotOverlap, err)

		f := wire.Refusal{Range: r, Reason: texts.Draw(t, "why not")}
		gotRefusal, err := wire.DecodeRefusal(pass(t, wire.EncodeRefusal(f)))
		same(t, f, gotRefusal, err)

		c := wire.ComeBack{After: time.Duration(rapid.Int64Range(0, 3_600_000).Draw(t, "after")) * time.Millisecond, Reason: texts.Draw(t, "reason"), Doubled: rapid.Bool().Draw(t, "doubled"), NewEpoch: rapid.Bool().Draw(t, "anew")}
		same(t, c, wire.DecodeComeBack(pass(t, wire.EncodeComeBack(c))), nil)
	})
}

func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := wire.Batch{First: rapid.Uint64Range(1, 1<<40).Draw(t, "first"), Refused: rapid.Uint64Range(0, 5).Draw(t, "refused"), Blocks: []wire.Block{}}
		b.Count = b.Refused
		for range rapid.IntRange(1, 4).Draw(t, "blocks") {
			n := rapid.IntRange(1, 50).Draw(t, "n")
			c, err := chunk.Append(nil, make([]meter.Reading, n))
			if err != nil {
				t.Fatal(err)
			}
			b.Blocks = append(b.Blocks, wire.Block{Series: meter.SeriesID(rapid.Uint32Range(1, math.MaxUint32).Draw(t, "series")), Chunk: c})
			b.Count += uint64(n)
		}
		got, err := wire.DecodeBatch(pass(t, wire.EncodeBatch(b)))
		same(t, b, got, err)
		b.Count++
		if _, err := wire.DecodeBatch(wire.EncodeBatch(b)); !errors.Is(err, wire.ErrInvalid) {
			t.Fatalf("a count that does not add up: error %v", err)
		}
	})
}

func TestDeclarationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ss []wire.Series
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			ss = append(ss, wire.Series{ID: meter.SeriesID(rapid.Uint32Range(1, math.MaxUint32).Draw(t, "id")), MaxWatts: rapid.Float64Range(0, 1e12).Draw(t, "most"), Series: meter.Series{
				Point: names.Draw(t, "point"), Meter: names.Draw(t, "meter"), Register: rapid.SampledFrom(meter.Registers()).Draw(t, "register").Name,
				Kind:    meter.Kind(rapid.IntRange(int(meter.Counter), int(meter.Power)).Draw(t, "kind")),
				Modulus: rapid.Int64Range(0, math.MaxInt64).Draw(t, "modulus"),
			}})
		}
		got, err := wire.DecodeDeclaration(pass(t, wire.EncodeDeclaration(ss)))
		same(t, ss, got, err)
	})
}

// scores draws the score of a day.
var scores = rapid.Custom(func(t *rapid.T) forecast.Score {
	wh, count := rapid.Float64Range(0, 1e12), rapid.IntRange(1, 1440).Draw(t, "count")
	return forecast.Score{
		Count: count, Actual: wh.Draw(t, "actual"), AbsErr: wh.Draw(t, "absolute"), SquErr: wh.Draw(t, "squared"), Err: -wh.Draw(t, "signed"),
		Pinball: wh.Draw(t, "pinball"), Covered: rapid.IntRange(0, count).Draw(t, "covered"), Breadth: wh.Draw(t, "breadth"),
	}
})

func TestLiveErrorsThatCannotBe(t *testing.T) {
	good := wire.LiveDay{
		Point: "p", Register: meter.EnergyImport, Model: "m",
		Day: watch.Day{Start: 86_400_000, Model: forecast.Score{Count: 24, AbsErr: 1}, Baseline: forecast.Score{Count: 24}},
	}
	for name, spoil := range map[string]func(*wire.LiveDay){
		"no point":             func(l *wire.LiveDay) { l.Point = "" },
		"a model with a slash": func(l *wire.LiveDay) { l.Model = "a/b" },
		"an unknown register":  func(l *wire.LiveDay) { l.Register = "sunshine" },
		"the year 2300":        func(l *wire.LiveDay) { l.Start = 10_413_792_000_000 },
		"before 1970":          func(l *wire.LiveDay) { l.Start = -86_400_000 },
		"nothing compared":     func(l *wire.LiveDay) { l.Day.Model.Count, l.Baseline.Count = 0, 0 },
		"other intervals":      func(l *wire.LiveDay) { l.Baseline.Count = 23 },
		"a day of seconds":     func(l *wire.LiveDay) { l.Day.Model.Count = 86_400 },
		"more covered":         func(l *wire.LiveDay) { l.Day.Model.Covered = 25 },
		"NaN":                  func(l *wire.LiveDay) { l.Day.Model.AbsErr = math.NaN() },
		"infinite":             func(l *wire.LiveDay) { l.Baseline.Err = math.Inf(-1) },
		"negative":             func(l *wire.LiveDay) { l.Baseline.SquErr = -1 },
		"beyond all meters":    func(l *wire.LiveDay) { l.Day.Model.Actual = 1e19 },
	} {
		l := good
		spoil(&l)
		if _, err := wire.DecodeReport(wire.EncodeReport(wire.Report{Live: []wire.LiveDay{l}})); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if r, err := wire.DecodeReport(wire.EncodeReport(wire.Report{Live: []wire.LiveDay{good}})); err != nil || r.Empty() || r.Live[0] != good {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReportRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := forecast.Forecast{
			Point: names.Draw(t, "point"), Register: meter.EnergyExport, Origin: instants.Draw(t, "origin"), Resolution: 15 * time.Minute,
			Levels: []float64{0.1, 0.9}, Rung: rapid.SampledFrom(forecast.Rungs()).Draw(t, "rung"), Model: texts.Draw(t, "model"),
			Completeness: rapid.Float64Range(0, 1).Draw(t, "completeness"), Issued: instants.Draw(t, "issued"),
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			low := rapid.Float64Range(0, 1e9).Draw(t, "low")
			f.Values = append(f.Values, low, low+rapid.Float64Range(0, 1e9).Draw(t, "spread"))
		}
		baseline := scores.Draw(t, "baseline")
		model := baseline
		model.AbsErr, model.Pinball = model.Pinball, model.AbsErr
		r := wire.Report{
			ID: rapid.Uint64().Draw(t, "id"), Forecasts: []forecast.Forecast{f},
			Quarantined: []wire.Quarantined{{
				ID: rapid.Uint64().Draw(t, "quarantined"), Reason: texts.Draw(t, "reason"), Detail: texts.Draw(t, "detail"), Topic: texts.Draw(t, "topic"),
				Payload: rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "payload"), Received: instants.Draw(t, "received"), Point: texts.Draw(t, "of point"),
			}},
			Models: []wire.ModelState{{ID: names.Draw(t, "model id"), State: wire.ModelRefused, Detail: texts.Draw(t, "why")}},
			Live: []wire.LiveDay{{
				Point: names.Draw(t, "live point"), Register: meter.EnergyImport, Model: names.Draw(t, "live model"),
				Day: watch.Day{Start: meter.Millis(rapid.Int64Range(0, 80_000).Draw(t, "day") * 86_400_000), Model: model, Baseline: baseline},
			}},
		}
		got, err := wire.DecodeReport(pass(t, wire.EncodeReport(r)))
		same(t, r, got, err)

		var joined wire.Report
		for _, m := range wire.SplitReport(wire.EncodeReport(r)) {
			one, err := wire.DecodeReport(pass(t, m))
			if err != nil || len(one.Forecasts)+len(one.Quarantined)+len(one.Models)+len(one.Live) != 1 {
				t.Fatalf("part %+v, %v: want one entry", one, err)
			}
			joined.ID = one.ID
			joined.Forecasts = append(joined.Forecasts, one.Forecasts...)
			joined.Quarantined = append(joined.Quarantined, one.Quarantined...)
			joined.Models = append(joined.Models, one.Models...)
			joined.Live = append(joined.Live, one.Live...)
		}
		same(t, r, joined, nil)

		a := wire.ReportAck{ID: r.ID, Refused: rapid.Uint32().Draw(t, "refused"), Reason: texts.Draw(t, "why not")}
		gotAck, err := wire.DecodeReportAck(pass(t, wire.EncodeReportAck(a)))
		same(t, a, gotAck, err)
	})
}

func TestAnnouncementsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := wire.SiteConfig{
			Revision: rapid.Uint64().Draw(t, "revision"), Zone: texts.Draw(t, "zone"), Resolution: time.Duration(rapid.IntRange(0, 1440).Draw(t, "minutes")) * time.Minute,
			Horizon: rapid.IntRange(0, wire.MaxSteps).Draw(t, "horizon"), Levels: []float64{0.5},
			Country: texts.Draw(t, "country"), Facts: map[string]float64{"area_m2": rapid.Float64Range(-1e9, 1e9).Draw(t, "area")},
		}
		for d := holiday.Date(0); rapid.Bool().Draw(t, "one more vacation"); d += 60 {
			from := d + holiday.Date(rapid.IntRange(0, 20).Draw(t, "from"))
			c.Vacations = append(c.Vacations, holiday.Range{From: from, To: from + holiday.Date(rapid.IntRange(1, 40).Draw(t, "days"))})
		}
		gotConfig, err := wire.DecodeSiteConfig(pass(t, wire.EncodeSiteConfig(c)))
		same(t, c, gotConfig, err)

		v := wire.ModelVersion{
			ID: names.Draw(t, "id"), Family: texts.Draw(t, "family"), Size: rapid.Uint64Range(1, wire.MaxModelSize).Draw(t, "size"),
			Signature: rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "signature"), Spec: texts.Draw(t, "spec"),
		}
		copy(v.SHA256[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		gotModels, err := wire.DecodeModels(pass(t, wire.EncodeModels([]wire.ModelVersion{v})))
		same(t, []wire.ModelVersion{v}, gotModels, err)
	})
}

func TestLedgerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := wire.Ledger{ID: rapid.Uint64().Draw(t, "id"), Since: rapid.Uint64Range(1, 1<<62).Draw(t, "since"), Entries: []wire.LedgerEntry{}}
		count := rapid.Uint64Range(0, 1<<50)
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			e := wire.LedgerEntry{
				Point: names.Draw(t, "point"), Register: rapid.SampledFrom(meter.Registers()).Draw(t, "register").Name, Day: rapid.Int32().Draw(t, "day"),
				Delivered: count.Draw(t, "delivered"), Quarantined: count.Draw(t, "quarantined"), Evicted: count.Draw(t, "evicted"),
				Thinned: count.Draw(t, "thinned"), Pending: count.Draw(t, "pending"),
			}
			e.Received = e.Delivered + e.Quarantined + e.Evicted + e.Thinned + e.Pending
			if e.Balance() != 0 {
				t.Fatalf("%+v: balance %d", e, e.Balance())
			}
			l.Entries = append(l.Entries, e)
		}
		got, err := wire.DecodeLedger(pass(t, wire.EncodeLedger(l)))
		same(t, l, got, err)

		a := wire.LedgerAck{ID: l.ID, Compared: rapid.Bool().Draw(t, "compared"), Unbalanced: rapid.Uint32().Draw(t, "unbalanced")}
		same(t, a, wire.DecodeLedgerAck(pass(t, wire.EncodeLedgerAck(a))), nil)
	})
}

func TestResendRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := meter.Millis(rapid.Int64Range(0, 1<<41).Draw(t, "from"))
		r := wire.Resend{ID: names.Draw(t, "id"), Point: names.Draw(t, "point"), Register: meter.PowerImport, From: from, To: from + 1}
		got, err := wire.DecodeResend(pass(t, wire.EncodeResend(r)))
		same(t, r, got, err)

		c, err := chunk.Append(nil, make([]meter.Reading, rapid.IntRange(1, 50).Draw(t, "n")))
		if err != nil {
			t.Fatal(err)
		}
		p := wire.Resent{
			ID: r.ID, From: from, To: from + 10, Blocks: []wire.Block{{Series: 7, Chunk: c}}, Held: rapid.Uint64Range(50, 1<<40).Draw(t, "held"),
			Done: rapid.Bool().Draw(t, "done"),
		}
		gotPart, err := wire.DecodeResent(pass(t, wire.EncodeResent(p)))
		same(t, p, gotPart, err)
		p.Held = 0
		if _, err := wire.DecodeResent(wire.EncodeResent(p)); !errors.Is(err, wire.ErrInvalid) {
			t.Fatalf("fewer held than sent: error %v", err)
		}

		a := wire.ResentAck{ID: r.ID, To: p.To}
		same(t, a, wire.DecodeResentAck(pass(t, wire.EncodeResentAck(a))), nil)
	})
}

func TestTextsAreCutToBounds(t *testing.T) {
	long := strings.Repeat("é", wire.MaxText)
	r := wire.Report{Quarantined: []wire.Quarantined{{Reason: "x\xff", Detail: long, Topic: long, Payload: make([]byte, 2*wire.MaxPayload)}}}
	m := wire.EncodeReport(r)
	if _, err := proto.Marshal(m); err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeReport(m)
	if err != nil {
		t.Fatal(err)
	}
	if q := got.Quarantined[0]; q.Reason != "x?" || len(q.Detail) > wire.MaxText || len(q.Payload) != wire.MaxPayload {
		t.Errorf("reason %q, %d bytes of detail, %d of payload", q.Reason, len(q.Detail), len(q.Payload))
	}
}

func TestALostRangeMayBeLong(t *testing.T) {
	b := wire.Batch{First: 1, Count: 5_000_000, Refused: 5_000_000, Blocks: []wire.Block{}}
	got, err := wire.DecodeBatch(wire.EncodeBatch(b))
	if err != nil || got.Count != b.Count {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzDecode lets every decoder see arbitrary messages: none panics, errors wrap ErrInvalid, and what was taken survives a
// further round.
func FuzzDecode(f *testing.F) {
	seed := func(m proto.Message) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	c, _ := chunk.Append(nil, make([]meter.Reading, 3))
	seed(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Hello{Hello: wire.EncodeHello(wire.Hello{Next: 5, Pending: 2})}})
	seed(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Batch{Batch: wire.EncodeBatch(wire.Batch{First: 1, Count: 3, Blocks: []wire.Block{{Series: 1, Chunk: c}}})}})
	seed(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Report{Report: &uplinkv1.Report{Forecasts: []*meterv1.Forecast{{
		Point: "p", Register: "energy-import", ResolutionMs: 3600000, Levels: []float64{0.5}, Values: []float64{1}, Rung: "active",
	}}, Live: []*uplinkv1.LiveDay{{Point: "p", Register: "energy-import", Model: "m", Day: 20_000, Score: &uplinkv1.Score{Count: 1}, Baseline: &uplinkv1.Score{Count: 1}}}}}})
	seed(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Welcome{Welcome: wire.EncodeWelcome(wire.Welcome{Received: wire.Received{Cursor: 3, Beyond: []wire.Range{{First: 5, End: 9}}}})}})
	seed(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Ledger{Ledger: wire.EncodeLedger(wire.Ledger{ID: 1, Since: 1, Entries: []wire.LedgerEntry{
		{Point: "p", Register: "energy-import", Day: 20_000, Received: 3, Delivered: 2, Pending: 1},
	}})}})
	seed(&uplinkv1.SyncRequest{Message: &uplinkv1.SyncRequest_Resent{Resent: wire.EncodeResent(wire.Resent{
		ID: "r", From: 1, To: 2, Blocks: []wire.Block{{Series: 1, Chunk: c}}, Held: 3, Done: true,
	})}})
	seed(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Resend{Resend: wire.EncodeResend(wire.Resend{ID: "r", Point: "p", From: 1, To: 2})}})
	seed(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Weather{Weather: wire.EncodeWeather(wire.Weather{
		Observed: feature.WeatherSeries{Resolution: time.Hour, Temperature: []float64{-1.5, math.NaN()}, Radiation: []float64{0, 812.5}},
		Forecast: &feature.WeatherForecast{Issued: 1, WeatherSeries: feature.WeatherSeries{Resolution: time.Hour, Temperature: []float64{3}}},
	})}})
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error) bool {
			if err != nil && !errors.Is(err, wire.ErrInvalid) {
				t.Fatalf("error %v: want ErrInvalid", err)
			}
			return err == nil
		}
		var up uplinkv1.SyncRequest
		if proto.Unmarshal(b, &up) == nil {
			if h, err := wire.DecodeHello(up.GetHello()); check(err) {
				if again, err := wire.DecodeHello(wire.EncodeHello(h)); err != nil || !reflect.DeepEqual(again, h) {
					t.Fatalf("%+v became %+v, %v", h, again, err)
				}
			}
			if x, err := wire.DecodeBatch(up.GetBatch()); check(err) {
				if again, err := wire.DecodeBatch(wire.EncodeBatch(x)); err != nil || cmp.Diff(x, again) != "" {
					t.Fatalf("%+v became %+v, %v", x, again, err)
				}
			}
			if r, err := wire.DecodeReport(up.GetReport()); check(err) {
				if again, err := wire.DecodeReport(wire.EncodeReport(r)); err != nil || cmp.Diff(r, again) != "" {
					t.Fatalf("%+v became %+v, %v", r, again, err)
				}
			}
			if l, err := wire.DecodeLedger(up.GetLedger()); check(err) {
				if again, err := wire.DecodeLedger(wire.EncodeLedger(l)); err != nil || cmp.Diff(l, again) != "" {
					t.Fatalf("%+v became %+v, %v", l, again, err)
				}
			}
			if r, err := wire.DecodeResent(up.GetResent()); check(err) {
				if again, err := wire.DecodeResent(wire.EncodeResent(r)); err != nil || cmp.Diff(r, again) != "" {
					t.Fatalf("%+v became %+v, %v", r, again, err)
				}
			}
			_, err := wire.DecodeDeclaration(up.GetDeclaration())
			check(err)
		}
		var down uplinkv1.SyncResponse
		if proto.Unmarshal(b, &down) == nil {
			if w, err := wire.DecodeWelcome(down.GetWelcome()); check(err) {
				if again, err := wire.DecodeWelcome(wire.EncodeWelcome(w)); err != nil || cmp.Diff(w, again) != "" {
					t.Fatalf("%+v became %+v, %v", w, again, err)
				}
			}
			if w, err := wire.DecodeWeather(down.GetWeather()); check(err) {
				if again, err := wire.DecodeWeather(wire.EncodeWeather(w)); err != nil || cmp.Diff(w, again, cmpopts.EquateNaNs()) != "" {
					t.Fatalf("%+v became %+v, %v", w, again, err)
				}
			}
			_, err := wire.DecodeOverlap(down.GetOverlap())
			check(err)
			_, err = wire.DecodeAck(down.GetAck())
			check(err)
			_, err = wire.DecodeRefusal(down.GetRefusal())
			check(err)
			_, err = wire.DecodeResend(down.GetResend())
			check(err)
			wire.DecodeLedgerAck(down.GetLedgerAck())
			wire.DecodeResentAck(down.GetResentAck())
			_, err = wire.DecodeReportAck(down.GetReportAck())
			check(err)
			_, err = wire.DecodeSiteConfig(down.GetConfig())
			check(err)
			_, err = wire.DecodeModels(down.GetModels())
			check(err)
			wire.DecodeComeBack(down.GetComeBack())
		}
	})
}

// TestWeather: weather comes over the wire to a hundredth of a degree and a tenth of a watt, and what cannot be is refused.
func TestWeather(t *testing.T) {
	in := wire.Weather{
		Observed: feature.WeatherSeries{Start: 3_600_000, Resolution: time.Hour, Temperature: []float64{-12.344, math.NaN()}, Radiation: []float64{0.04, 812.5}},
		Forecast: &feature.WeatherForecast{Issued: 7, WeatherSeries: feature.WeatherSeries{Resolution: time.Hour, Temperature: []float64{3}}},
	}
	want := in
	want.Observed.Temperature, want.Observed.Radiation = []float64{-12.34, math.NaN()}, []float64{0, 812.5}
	got, err := wire.DecodeWeather(wire.EncodeWeather(in))
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, spoil := range map[string]func(*uplinkv1.Weather){
		"hot":        func(m *uplinkv1.Weather) { m.Observed.Temperature[0] = 99_99 },
		"long":       func(m *uplinkv1.Weather) { m.Observed.Radiation = make([]int32, wire.MaxWeather+1) },
		"off grid":   func(m *uplinkv1.Weather) { m.Observed.StartMs++ },
		"resolution": func(m *uplinkv1.Weather) { m.Forecast.ResolutionMs = 0 },
	} {
		m := wire.EncodeWeather(in)
		spoil(m)
		if _, err := wire.DecodeWeather(m); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
