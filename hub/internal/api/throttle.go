package api

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/problem"
	"fluxora.dev/hub/internal/ratelimit"
)

// mostBuckets bounds how many callers are told apart: about 20 MB.
const mostBuckets = 100_000

// throttle bounds how often each caller may ask, by its tier, and how often each address may ask routes that are open to strangers.
type throttle struct {
	limiter   *ratelimit.Limiter
	tiers     map[access.Tier]ratelimit.Rate
	strangers ratelimit.Rate
	proxies   []netip.Prefix
	now       func() time.Time
}

// stranger says whether a stranger may go on.
func (t *throttle) stranger(w http.ResponseWriter, r *http.Request) bool {
	return t.take(w, "address "+address(r, t.proxies).String(), t.strangers)
}

// known says whether a known caller may go on.
func (t *throttle) known(w http.ResponseWriter, c access.Caller) bool {
	if c.Tier == "" {
		c.Tier = access.Free
	}
	return t.take(w, string(c.Kind)+" "+c.Subject, t.tiers[c.Tier])
}

func (t *throttle) take(w http.ResponseWriter, key string, rate ratelimit.Rate) bool {
	v := t.limiter.Take(key, rate)
	if !v.Limited {
		return true
	}
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(v.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(v.Remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(t.now().Add(v.Reset+time.Second-1).Unix(), 10))
	if !v.Allowed {
		wait := strconv.Itoa(int((v.Retry + time.Second - 1) / time.Second))
		h.Set("Retry-After", wait)
		problem.Write(w, http.StatusTooManyRequests, "too many requests: at most "+strconv.Itoa(rate.PerHour)+" an hour and "+strconv.Itoa(rate.Burst)+" at once; the next is answered in "+wait+" s")
	}
	return v.Allowed
}

// address returns whom a request comes from: the last address in X-Forwarded-For that is no proxy of ours, if one of ours sent it.
func address(r *http.Request, proxies []netip.Prefix) netip.Addr {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	from, _ := netip.ParseAddr(host) // the zero address when there is none, as in tests of a handler alone
	from = from.Unmap()
	ours := func(a netip.Addr) bool {
		for _, p := range proxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(forwarded) - 1; i >= 0 && ours(from); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(forwarded[i]))
		if err != nil {
			break
		}
		from = a.Unmap()
	}
	return from
}
