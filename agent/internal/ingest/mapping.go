package ingest

import (
	"cmp"
	"fmt"
	"strings"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// mapping is a config.Mapping, checked and taken apart.
type mapping struct {
	pattern   []string
	point     string
	register  string
	path      path
	unit      string
	kind      meter.Kind
	timestamp path
	meter     string
	meterPath path
	optional  bool // of a preset: messages without the value are none of ours
}

// presets are the known publishers.
var presets = map[string][]config.Mapping{
	"tasmota": {
		{Topic: "tele/{point}/SENSOR", Register: "energy-import", Path: "ENERGY.Total", Unit: "kWh"},
		{Topic: "tele/{point}/SENSOR", Register: "power-import", Path: "ENERGY.Power", Unit: "W"},
	},
	"shelly-gen2": {
		{Topic: "{point}/status/switch:0", Register: "energy-import", Path: "aenergy.total", Unit: "Wh"},
		{Topic: "{point}/status/switch:0", Register: "power-import", Path: "apower", Unit: "W"},
		{Topic: "{point}/status/em:0", Register: "power-import", Path: "total_act_power", Unit: "W"},
		{Topic: "{point}/status/emdata:0", Register: "energy-import", Path: "total_act", Unit: "Wh"},
		{Topic: "{point}/status/emdata:0", Register: "energy-export", Path: "total_act_ret", Unit: "Wh"},
	},
	"zigbee2mqtt": {
		{Topic: "zigbee2mqtt/{point}", Register: "energy-import", Path: "energy", Unit: "kWh"},
		{Topic: "zigbee2mqtt/{point}", Register: "power-import", Path: "power", Unit: "W"},
	},
	"plain": {{}},
}

// parseMappings takes the configured mappings apart; presets become several.
func parseMappings(list []config.Mapping) ([]mapping, error) {
	var out []mapping
	for i, x := range list {
		base := []config.Mapping{{}}
		if x.Preset != "" {
			var ok bool
			if base, ok = presets[x.Preset]; !ok {
				return nil, fmt.Errorf("mapping %d: preset %q is unknown", i, x.Preset)
			}
		}
		for _, b := range base {
			m, err := parseMapping(x, b)
			if err != nil {
				return nil, fmt.Errorf("mapping %d: %w", i, err)
			}
			m.optional = len(base) > 1
			out = append(out, m)
		}
	}
	return out, nil
}

func parseMapping(x, base config.Mapping) (mapping, error) {
	m := mapping{
		pattern: strings.Split(cmp.Or(x.Topic, base.Topic), "/"), point: x.Point,
		register: cmp.Or(x.Register, base.Register), unit: cmp.Or(x.Unit, base.Unit), meter: x.Meter,
	}
	var err error
	for _, p := range []struct {
		into *path
		text string
	}{{&m.path, cmp.Or(x.Path, base.Path)}, {&m.timestamp, cmp.Or(x.Timestamp, base.Timestamp)}, {&m.meterPath, x.MeterPath}} {
		if *p.into, err = parsePath(p.text); err != nil {
			return m, err
		}
	}
	if kind := cmp.Or(x.Kind, base.Kind); kind != "" {
		if m.kind, err = meter.ParseKind(kind); err != nil {
			return m, err
		}
	}
	return m, nil
}

// filter returns the MQTT filter that the pattern needs.
func (m mapping) filter() string {
	levels := make([]string, len(m.pattern))
	for i, l := range m.pattern {
		if levels[i] = l; strings.HasPrefix(l, "{") {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// match reports whether a topic fits the pattern, and the point and register in it.
func (m mapping) match(name string) (point, register string, ok bool) {
	point, register = m.point, m.register
	rest := name
	for i, l := range m.pattern {
		if l == "#" {
			return point, register, true
		}
		level, more, found := strings.Cut(rest, "/")
		switch l {
		case "+":
		case "{point}":
			point = cmp.Or(m.point, level)
		case "{register}":
			register = cmp.Or(m.register, level)
		default:
			if l != level {
				return "", "", false
			}
		}
		if found != (i < len(m.pattern)-1) {
			// "a/#" matches "a" too.
			return point, register, !found && i == len(m.pattern)-2 && m.pattern[i+1] == "#"
		}
		rest = more
	}
	return point, register, true
}

// decode reads what the mapping finds in a payload. ok is false when there is nothing for it and that is no mistake.
func (m mapping) decode(doc *document, register meter.RegisterInfo) (p topic.Payload, timed, ok bool, err error) {
	exp, err := topic.Exponent(m.unit, register)
	if err != nil {
		return p, false, false, err
	}
	text, found, err := doc.number(m.path)
	switch {
	case err != nil:
		return p, false, false, err
	case !found && m.optional:
		return p, false, false, nil
	case !found:
		return p, false, false, &topic.Error{Reason: meter.Malformed, Detail: fmt.Sprintf("no value at %q", m.path)}
	}
	if p.Value, err = topic.ParseDecimal([]byte(text), exp); err != nil {
		return p, false, false, err
	}
	p.Kind, p.Meter = cmp.Or(m.kind, register.Kind), m.meter
	if err := topic.CheckKind(p.Kind, register); err != nil {
		return p, false, false, err
	}
	if len(m.meterPath) > 0 {
		serial, found, err := doc.text(m.meterPath)
		if err != nil {
			return p, false, false, err
		}
		if found {
			p.Meter = serial
		}
	}
	if len(m.timestamp) > 0 {
		at, found, err := doc.instant(m.timestamp)
		if err != nil {
			return p, false, false, err
		}
		p.At, timed = at, found
	}
	return p, timed, true, nil
}
