package api

import (
	"time"
)

// Zoned asks for the instants of an answer in a zone.
type Zoned struct {
	TZ string `query:"tz" default:"UTC" maxLength:"64" example:"Europe/Oslo" doc:"zone that instants are written in: site for the site's own, else an IANA name; what they are does not change"`
}

// in returns the zone that is asked for, where the site's is site.
func (z Zoned) in(site string) (*time.Location, error) {
	name := z.TZ
	switch name {
	case "", "UTC":
		return time.UTC, nil
	case "site":
		name = site
	case "Local":
		return nil, invalid("tz", z.TZ, "want site or an IANA name such as Europe/Oslo")
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, invalid("tz", z.TZ, "want site or an IANA name such as Europe/Oslo")
	}
	return loc, nil
}
