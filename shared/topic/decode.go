package topic

import (
	"fluxora.dev/shared/meter"
)

// DecodeReadings appends the readings of a payload to dst. It either takes the whole payload or returns dst as it was
// and an *Error. The result does not refer to b. Readings next to one another share the string of their meter.
func DecodeReadings(dst []Payload, b []byte, register meter.RegisterInfo) ([]Payload, error) {
	if len(b) > MaxPayload {
		return dst, refuse(meter.TooLarge, "payload of %d bytes: want at most %d", len(b), MaxPayload)
	}
	s := scanner{b: b}
	out := dst
	if s.space(); s.peek() != '[' {
		p, err := s.reading(register, "")
		if err == nil {
			err = s.end()
		}
		if err != nil {
			return dst, err
		}
		return append(dst, p), nil
	}
	s.i++
	last := ""
	for n := 1; ; n++ {
		if n > MaxReadings {
			return dst, refuse(meter.TooLarge, "more than %d readings in a payload", MaxReadings)
		}
		p, err := s.reading(register, last)
		if err != nil {
			err.Detail = "reading " + itoa(n) + ": " + err.Detail
			return dst, err
		}
		out = append(out, p)
		last = p.Meter
		switch s.space(); s.peek() {
		case ',':
			s.i++
			continue
		case ']':
			s.i++
			if err := s.end(); err != nil {
				return dst, err
			}
			return out, nil
		}
		return dst, s.malformed("want ',' or ']' after reading " + itoa(n))
	}
}

// The fields of a reading, as bits.
const (
	hasTime = 1 << iota
	hasValue
	hasUnit
	hasMeter
	hasKind
	hasModulus
	hasQuality
)

// reading scans one object. Last is the meter of the reading before, whose string is used again when it is the same.
func (s *scanner) reading(register meter.RegisterInfo, last string) (Payload, *Error) {
	p := Payload{Kind: register.Kind}
	var value, modulus []byte
	exp := 3
	seen := 0
	if s.space(); s.peek() != '{' {
		return p, s.malformed("want a reading, an object as {\"t\": …, \"v\": …}")
	}
	s.i++
	for {
		if s.space(); s.peek() == '}' {
			break
		}
		if seen != 0 {
			if s.peek() != ',' {
				return p, s.malformed("want ',' or '}'")
			}
			s.i++
			s.space()
		}
		key, err := s.str("a field name")
		if err != nil {
			return p, err
		}
		field := fieldOf(key)
		if field == 0 {
			return p, refuse(meter.UnknownField, "field %s: want t, v, unit, meter, kind, modulus or q", shorten(string(key)))
		}
		if seen&field != 0 {
			return p, refuse(meter.Malformed, "field %q twice", key)
		}
		seen |= field
		if s.space(); s.peek() != ':' {
			return p, s.malformed("want ':' after a field name")
		}
		s.i++
		s.space()
		switch field {
		case hasTime:
			p.At, err = s.instant()
		case hasValue:
			value, err = s.number("v")
		case hasModulus:
			modulus, err = s.number("modulus")
		default:
			err = s.word(&p, &exp, field, register, last)
		}
		if err != nil {
			return p, err
		}
	}
	s.i++
	return p, p.complete(seen, value, modulus, exp)
}

func fieldOf(key []byte) int {
	switch string(key) {
	case "t":
		return hasTime
	case "v":
		return hasValue
	case "unit":
		return hasUnit
	case "meter":
		return hasMeter
	case "kind":
		return hasKind
	case "modulus":
		return hasModulus
	case "q":
		return hasQuality
	}
	return 0
}

// word scans the value of a field that holds a string.
func (s *scanner) word(p *Payload, exp *int, field int, register meter.RegisterInfo, last string) *Error {
	w, err := s.str("a string")
	if err != nil {
		return err
	}
	switch field {
	case hasUnit:
		if len(w) == 0 {
			return refuse(meter.BadUnit, "unit is empty: leave it out or name one")
		}
		u, ok := unitOf(string(w)) // here and not by Exponent, which would allocate
		if !ok || u.base != register.Unit {
			_, err := Exponent(string(w), register)
			return err.(*Error)
		}
		*exp = u.exp
	case hasMeter:
		if p.Meter = last; string(w) != last {
			p.Meter = string(w)
			if err := meter.CheckName("meter", p.Meter); err != nil {
				return refuse(meter.BadMeter, "%v", err)
			}
		}
		if len(w) == 0 {
			return refuse(meter.BadMeter, "meter is empty: leave it out or name one")
		}
	case hasKind:
		k, err := meter.ParseKind(string(w))
		if err != nil {
			return refuse(meter.BadKind, "kind %s: want counter, energy or power", shorten(string(w)))
		}
		if err := CheckKind(k, register); err != nil {
			return err.(*Error)
		}
		p.Kind = k
	case hasQuality:
		q, err := meter.ParseQuality(string(w))
		if err != nil || q == meter.Missing {
			return refuse(meter.BadQuality, "q %s: want measured, estimated, edited or suspect", shorten(string(w)))
		}
		p.Quality = q
	}
	return nil
}

// complete converts the numbers, which need the unit, and checks what needs the whole object.
func (p *Payload) complete(seen int, value, modulus []byte, exp int) *Error {
	if seen&hasTime == 0 {
		return refuse(meter.Malformed, "field t is missing: want the instant")
	}
	if seen&hasValue == 0 {
		return refuse(meter.Malformed, "field v is missing: want the value")
	}
	var err error
	if p.Value, err = ParseDecimal(value, exp); err != nil {
		return err.(*Error)
	}
	if seen&hasModulus == 0 {
		return nil
	}
	if p.Modulus, err = ParseDecimal(modulus, exp); err != nil {
		return err.(*Error)
	}
	if p.Modulus <= 0 || p.Kind != meter.Counter {
		return refuse(meter.BadValue, "modulus %s of kind %s: want a number above zero, of a counter", shorten(string(modulus)), p.Kind)
	}
	return nil
}
