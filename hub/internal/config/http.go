package config

import (
	"net/netip"
	"net/url"
)

// check reports what is wrong with what the REST interface lets whom do.
func (h *HTTP) check(report func(key, format string, args ...any)) {
	between(report, "http.concurrency", h.Concurrency, 1, 10_000)
	for _, o := range h.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			report("http.origins", "%q is no origin: want scheme://host or scheme://host:port, as https://energy.example.com", o)
		}
	}
	for _, p := range h.Proxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			report("http.proxies", "%q is no range of addresses: want one as 10.0.0.0/8 or 192.0.2.7/32", p)
		}
	}
	for key, r := range map[string]Rate{"free": h.Limits.Free, "standard": h.Limits.Standard, "premium": h.Limits.Premium, "strangers": h.Limits.Strangers} {
		between(report, "http.limits."+key+".per_hour", r.PerHour, 0, 1_000_000_000)
		between(report, "http.limits."+key+".burst", r.Burst, 1, 1_000_000)
	}
}

// Ranges returns the ranges of addresses in Proxies, which were checked.
func (h *HTTP) Ranges() []netip.Prefix {
	out := make([]netip.Prefix, len(h.Proxies))
	for i, p := range h.Proxies {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}
