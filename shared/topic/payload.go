package topic

import (
	"strconv"

	"fluxora.dev/shared/meter"
)

// Limits of a payload of readings.
const (
	MaxPayload  = 1 << 20 // bytes
	MaxReadings = 10_000
)

// Payload is one reading of a payload.
type Payload struct {
	At      meter.Millis
	Value   int64  // thousandths of the register's base unit
	Meter   string // serial number; empty when not told
	Kind    meter.Kind
	Modulus int64 // thousandths of the base unit; 0 when not told
	Quality meter.Quality
}

// unit is a unit of the payload: a value in it times 10^exp is in thousandths of the base unit.
type unit struct {
	base string
	exp  int
}

func unitOf(name string) (unit, bool) {
	switch name {
	case "mWh":
		return unit{"Wh", 0}, true
	case "Wh":
		return unit{"Wh", 3}, true
	case "kWh":
		return unit{"Wh", 6}, true
	case "MWh":
		return unit{"Wh", 9}, true
	case "mW":
		return unit{"W", 0}, true
	case "W":
		return unit{"W", 3}, true
	case "kW":
		return unit{"W", 6}, true
	case "MW":
		return unit{"W", 9}, true
	}
	return unit{}, false
}

// Exponent returns the power of ten that turns a number in the named unit into thousandths of the register's base unit,
// for ParseDecimal. The empty name is the base unit. The error is an *Error.
func Exponent(name string, register meter.RegisterInfo) (int, error) {
	if name == "" {
		return 3, nil
	}
	u, ok := unitOf(name)
	if !ok {
		return 0, refuse(meter.BadUnit, "unit %s: want mWh, Wh, kWh, MWh, mW, W, kW or MW", shorten(name))
	}
	if u.base != register.Unit {
		return 0, refuse(meter.BadUnit, "unit %s does not fit register %s: want a multiple of %s", name, register.Name, register.Unit)
	}
	return u.exp, nil
}

// CheckKind returns an *Error unless a register can have the kind: energy registers count or sum energy, power registers
// have power.
func CheckKind(k meter.Kind, register meter.RegisterInfo) error {
	if k.Valid() && (k == meter.Power) == (register.Kind == meter.Power) {
		return nil
	}
	return refuse(meter.BadKind, "kind %s does not fit register %s", k, register.Name)
}

// EncodeReadings appends readings of one register to dst, as an object when there is one and as an array otherwise, with
// values in the named unit. The empty unit writes values in the base unit and no unit. A unit that Exponent does not know
// is a mistake in the program and panics. Kinds that the unit implies are left out.
func EncodeReadings(dst []byte, readings []Payload, unit string) []byte {
	exp, usual := 3, meter.Kind(0)
	if unit != "" {
		u, ok := unitOf(unit)
		if !ok {
			panic("topic: unknown unit " + strconv.Quote(unit))
		}
		exp, usual = u.exp, meter.Counter
		if u.base == "W" {
			usual = meter.Power
		}
	}
	if len(readings) != 1 {
		dst = append(dst, '[')
	}
	for i, r := range readings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"t":"`...)
		dst = appendInstant(dst, r.At)
		dst = append(dst, `","v":`...)
		dst = appendDecimal(dst, r.Value, exp)
		if unit != "" {
			dst = append(dst, `,"unit":"`...)
			dst = append(append(dst, unit...), '"')
		}
		if r.Meter != "" {
			dst = append(dst, `,"meter":"`...)
			dst = append(append(dst, r.Meter...), '"')
		}
		if r.Kind != usual && r.Kind != 0 {
			dst = append(dst, `,"kind":"`...)
			dst = append(append(dst, r.Kind.String()...), '"')
		}
		if r.Modulus != 0 {
			dst = append(dst, `,"modulus":`...)
			dst = appendDecimal(dst, r.Modulus, exp)
		}
		if r.Quality != meter.Measured {
			dst = append(dst, `,"q":"`...)
			dst = append(append(dst, r.Quality.String()...), '"')
		}
		dst = append(dst, '}')
	}
	if len(readings) != 1 {
		dst = append(dst, ']')
	}
	return dst
}
