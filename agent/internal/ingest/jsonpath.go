package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// path is a way into a JSON document: names (string) and positions (int).
type path []any

// parsePath reads names joined by dots, each with positions in brackets: "StatusSNS.ENERGY.Power[0]".
func parsePath(s string) (path, error) {
	p, err := config.ParsePath(s)
	return path(p), err
}

func (p path) String() string {
	var b strings.Builder
	for _, step := range p {
		if n, ok := step.(int); ok {
			fmt.Fprintf(&b, "[%d]", n)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(step.(string))
	}
	return b.String()
}

// document is a payload that is parsed once, when a mapping first looks into it.
type document struct {
	payload []byte
	root    any
	err     error
	parsed  bool
}

func (d *document) parse() error {
	if d.parsed {
		return d.err
	}
	d.parsed = true
	dec := json.NewDecoder(bytes.NewReader(d.payload))
	dec.UseNumber() // keeps the decimal text
	d.err = dec.Decode(&d.root)
	if d.err == nil {
		if _, err := dec.Token(); err != io.EOF {
			d.err = fmt.Errorf("more than one JSON value")
		}
	}
	if d.err != nil {
		d.err = &topic.Error{Reason: meter.Malformed, Detail: "payload is no JSON: " + d.err.Error()}
	}
	return d.err
}

// at returns what stands at p; null is nothing.
func (d *document) at(p path) (any, error) {
	if err := d.parse(); err != nil {
		return nil, err
	}
	v := d.root
	for _, step := range p {
		switch step := step.(type) {
		case string:
			object, ok := v.(map[string]any)
			if !ok {
				return nil, nil
			}
			v = object[step]
		case int:
			array, ok := v.([]any)
			if !ok || step >= len(array) {
				return nil, nil
			}
			v = array[step]
		}
	}
	return v, nil
}

// number returns the decimal text at p. Text that holds a number counts as one: many publishers quote.
func (d *document) number(p path) (text string, found bool, err error) {
	if len(p) == 0 {
		return strings.TrimSpace(string(d.payload)), true, nil
	}
	v, err := d.at(p)
	if err != nil || v == nil {
		return "", false, err
	}
	switch v := v.(type) {
	case json.Number:
		return string(v), true, nil
	case string:
		return strings.TrimSpace(v), true, nil
	}
	return "", false, &topic.Error{Reason: meter.BadValue, Detail: fmt.Sprintf("%s is a %T: want a number", p, v)}
}

func (d *document) text(p path) (string, bool, error) {
	v, err := d.at(p)
	if err != nil || v == nil {
		return "", false, err
	}
	switch v := v.(type) {
	case json.Number:
		return string(v), true, nil
	case string:
		return v, true, nil
	}
	return "", false, &topic.Error{Reason: meter.BadMeter, Detail: fmt.Sprintf("%s is a %T: want text", p, v)}
}

// layouts are the forms of instants that are understood. One without a zone is not: it would be guessed.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700"}

// instant returns the time at p: RFC 3339, or a number since 1970, in milliseconds when it is too large for seconds.
func (d *document) instant(p path) (meter.Millis, bool, error) {
	text, found, err := d.text(p)
	if err != nil || !found {
		return 0, false, err
	}
	if ms, err := topic.ParseDecimal([]byte(text), 3); err == nil {
		if ms >= 100_000_000_000_000 { // it was milliseconds: as seconds this is the year 5138
			ms /= 1000
		}
		return meter.Millis(ms), true, nil
	}
	whole, leap := text, time.Duration(0)
	if len(text) > 19 && text[13:19] == ":59:60" { // a leap second, which package time does not know
		whole, leap = text[:17]+"59"+text[19:], time.Second
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, whole); err == nil && (leap == 0 || t.UTC().Hour() == 23) {
			return meter.MillisOf(t.Add(leap)), true, nil
		}
	}
	if len(text) > 80 {
		text = text[:80]
	}
	return 0, false, &topic.Error{Reason: meter.BadTime, Detail: fmt.Sprintf("%s is %q: want RFC 3339 with a zone, or seconds or milliseconds since 1970", p, text)}
}
