package ingest

import (
	"testing"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/shared/meter"
)

// numbers gives every series the number 1.
type numbers struct{ Log }

func (numbers) SeriesID(meter.Series) (meter.SeriesID, error) { return 1, nil }

// FuzzMapping takes any message by any mapping that the settings allow: it is readings, none of ours, or an error, and never more
// readings than there are mappings.
func FuzzMapping(f *testing.F) {
	f.Add("tasmota", "", "", "", "", "", "", "", "tele/main/SENSOR", []byte(`{"Time":"2026-03-01T12:00:00","ENERGY":{"Total":12.345,"Power":7}}`))
	f.Add("shelly-gen2", "", "", "", "", "", "", "", "main/status/em:0", []byte(`{"total_act_power":-1e3}`))
	f.Add("zigbee2mqtt", "", "", "", "", "", "", "", "zigbee2mqtt/main", []byte(`{"energy":"1.5","power":null}`))
	f.Add("plain", "m/{point}", "", "energy-import", "", "kWh", "", "", "m/main", []byte(`42`))
	f.Add("", "a/{point}/{register}/#", "", "", "x[0].y", "Wh", "counter", "t", "a/main/1.8.0/z", []byte(`{"x":[{"y":1e18}],"t":1774000000}`))
	f.Add("", "+/#", "main", "power-import", "p", "kW", "power", "when", "a/b", []byte(`{"p":0.1,"when":"2016-12-31T23:59:60Z"}`))
	f.Fuzz(func(t *testing.T, preset, pattern, point, register, path, unit, kind, timestamp, name string, payload []byte) {
		c := config.Default()
		c.Site = "home"
		c.MQTT.Mappings = []config.Mapping{{Preset: preset, Topic: pattern, Point: point, Register: register, Path: path, Unit: unit, Kind: kind, Timestamp: timestamp}}
		wrong := false
		c.Check(func(string, string, ...any) { wrong = true })
		if wrong {
			return
		}
		d, err := newDecoder(c, numbers{})
		if err != nil {
			t.Fatalf("the settings allow %+v: %v", c.MQTT.Mappings, err)
		}
		for range 2 { // the second time, what the topic means is known
			rs, unrelated, err := d.decode(mqtt.Message{Topic: name, Payload: payload}, 1_774_000_000_000)
			switch {
			case err != nil && (len(rs) > 0 || unrelated):
				t.Fatalf("%d readings, unrelated %t, and %v", len(rs), unrelated, err)
			case len(rs) > len(d.mappings)+len(payload):
				t.Fatalf("%d readings of %d bytes", len(rs), len(payload))
			}
		}
	})
}
