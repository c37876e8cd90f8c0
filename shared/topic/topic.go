// Package topic knows the MQTT topics of Fluxora and the payloads on them: what a bridge, any other publisher and an
// agent say to one another. It must not know a broker, nor whether a reading is plausible.
//
// # Topics
//
//	fluxora/v1/{site}/reading/{point}/{register}   readings; QoS 1; not retained
//	fluxora/v1/{site}/forecast/{point}             the agent's latest forecast; QoS 1; retained
//	fluxora/v1/{site}/status/{program}             "agent" or "bridge": online or offline; QoS 1; retained, last will
//
// Site and point are names as meter.CheckName has them. The register is its name or its OBIS code: energy-import or
// 1.8.0, energy-export or 2.8.0, power-import or 1.7.0, power-export or 2.7.0.
//
// # Readings
//
// A payload is one JSON object, or an array of 1 to 10,000 of them, of at most 1 MiB, all of the topic's register:
//
//	{"t": "2026-11-23T15:00:00Z", "v": 12345.678, "unit": "kWh"}
//
//	field    required  value
//	t        yes       the instant: an RFC 3339 string with a zone, or whole milliseconds since 1970
//	v        yes       the value: a JSON number, not quoted
//	unit               mWh, Wh, kWh, MWh for energy; mW, W, kW, MW for power; the register's base unit, Wh or W, if absent
//	meter              the serial number of the meter; an exchange is seen by its change
//	kind               counter (cumulative; the default for energy), energy (since the reading before) or power
//	modulus            the value, in the unit, at which a counter wraps to zero
//	q                  measured (the default), estimated, edited or suspect
//
// Numbers are decimal and converted exactly to thousandths of the base unit; what is finer is rounded half to even.
// Nothing is guessed: a payload with an unknown, repeated or null field, or with anything that is not as above, is refused
// whole, with a reason of package meter and the place.
package topic

import (
	"fmt"
	"strings"

	"fluxora.dev/shared/meter"
)

const root = "fluxora/v1/"

// Error says why a topic or payload is refused.
type Error struct {
	Reason meter.Reason
	Detail string // what was wrong, where, and what would be right
}

// Error returns the reason and the detail.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Detail }

func refuse(r meter.Reason, format string, args ...any) *Error {
	return &Error{r, fmt.Sprintf(format, args...)}
}

// ReadingTopic returns the topic of the readings of a register.
func ReadingTopic(site, point string, register meter.Register) string {
	return root + site + "/reading/" + point + "/" + string(register)
}

// ReadingFilter returns the filter that matches every reading of a site.
func ReadingFilter(site string) string { return root + site + "/reading/+/+" }

// ForecastTopic returns the topic of the forecasts of a point.
func ForecastTopic(site, point string) string { return root + site + "/forecast/" + point }

// StatusTopic returns the topic on which a program ("agent" or "bridge") says whether it is there.
func StatusTopic(site, program string) string { return root + site + "/status/" + program }

// ParseReading takes a topic of readings apart. The register is returned by its name, even when the topic has its OBIS
// code. The error is an *Error.
func ParseReading(topic string) (site, point string, register meter.Register, err error) {
	rest, ok := strings.CutPrefix(topic, root)
	if !ok {
		return "", "", "", refuse(meter.UnknownTopic, "topic %s: want %s", shorten(topic), ReadingTopic("{site}", "{point}", "{register}"))
	}
	parts := strings.SplitN(rest, "/", 5)
	if len(parts) != 4 || parts[1] != "reading" {
		return "", "", "", refuse(meter.UnknownTopic, "topic %s: want %s", shorten(topic), ReadingTopic("{site}", "{point}", "{register}"))
	}
	if err := meter.CheckName("site", parts[0]); err != nil {
		return "", "", "", refuse(meter.UnknownTopic, "topic %s: %v", shorten(topic), err)
	}
	if err := meter.CheckName("point", parts[2]); err != nil {
		return "", "", "", refuse(meter.UnknownTopic, "topic %s: %v", shorten(topic), err)
	}
	info, err := meter.LookupRegister(parts[3])
	if err != nil {
		return "", "", "", refuse(meter.UnknownRegister, "topic %s: register %s: want energy-import, energy-export, power-import or power-export", shorten(topic), shorten(parts[3]))
	}
	return parts[0], parts[2], info.Name, nil
}

// shorten quotes s for a message: no control characters, not long.
func shorten(s string) string {
	const most = 120
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
