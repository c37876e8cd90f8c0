package topic

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"fluxora.dev/shared/meter"
)

// scanner walks over JSON text. It never recurses: a reading holds no objects or arrays.
type scanner struct {
	b []byte
	i int
}

func itoa(n int) string { return strconv.Itoa(n) }

// peek returns the next byte, or 0 at the end (a zero byte is not JSON either).
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) end() *Error {
	if s.space(); s.i < len(s.b) {
		return s.malformed("want nothing after the payload")
	}
	return nil
}

func (s *scanner) malformed(want string) *Error {
	if s.i >= len(s.b) {
		return refuse(meter.Malformed, "payload ends at byte %d: %s", s.i, want)
	}
	return refuse(meter.Malformed, "%q at byte %d: %s", rune(s.b[s.i]), s.i, want)
}

// str scans a string and returns what is in it, which refers to the payload unless it has escapes.
func (s *scanner) str(what string) ([]byte, *Error) {
	if s.peek() != '"' {
		return nil, s.malformed("want " + what)
	}
	start := s.i
	plain := true
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			text := s.b[start+1 : s.i-1]
			if plain {
				return text, nil
			}
			return s.unescape(start)
		case c == '\\':
			plain = false
			s.i++
		case c < ' ':
			return nil, s.malformed("want no control character in a string")
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	return nil, s.malformed("want the end of a string")
}

// unescape is the slow path of str: rare, and rare text belongs to encoding/json.
func (s *scanner) unescape(start int) ([]byte, *Error) {
	quoted := s.b[start:s.i]
	if !utf8.Valid(quoted) {
		return nil, refuse(meter.Malformed, "string at byte %d is not UTF-8", start)
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil, refuse(meter.Malformed, "string at byte %d: %v", start, err)
	}
	return []byte(text), nil
}

// number returns the text of a number; ParseDecimal checks it.
func (s *scanner) number(field string) ([]byte, *Error) {
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c-'0' <= 9, c == '-', c == '+', c == '.', c|0x20 == 'e':
			s.i++
			continue
		}
		break
	}
	next := s.peek()
	if s.i == start && next == 0 {
		return nil, s.malformed("want a number")
	}
	if s.i == start || next|0x20-'a' <= 'z'-'a' {
		return nil, refuse(meter.BadValue, "field %s at byte %d is no number: want one as 12345.678, without quotes", field, start)
	}
	return s.b[start:s.i], nil
}

// instant scans the value of field t.
func (s *scanner) instant() (meter.Millis, *Error) {
	start := s.i
	if s.peek() == '"' {
		text, err := s.str("an instant")
		if err != nil {
			return 0, err
		}
		m, ok := parseInstant(text)
		if !ok {
			return 0, refuse(meter.BadTime, "t %s: want RFC 3339 with a zone, as 2026-11-23T15:00:00Z, or milliseconds since 1970", shorten(string(text)))
		}
		return m, nil
	}
	text, err := s.number("t")
	if err != nil {
		err.Reason = meter.BadTime
		return 0, err
	}
	for i, c := range text {
		if c-'0' > 9 && !(c == '-' && i == 0) {
			return 0, refuse(meter.BadTime, "t %s at byte %d: want whole milliseconds since 1970", shorten(string(text)), start)
		}
	}
	v, bad := ParseDecimal(text, 0)
	const year0, year9999 = -62_167_219_200_000, 253_402_300_799_999
	if bad != nil || v < year0 || v > year9999 {
		return 0, refuse(meter.BadTime, "t %s at byte %d: want whole milliseconds since 1970, up to the year 9999", shorten(string(text)), start)
	}
	return meter.Millis(v), nil
}
