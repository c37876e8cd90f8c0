package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Most readings and intervals in one answer.
const (
	defaultLimit = 1_000
	maxLimit     = 10_000
)

type handler struct {
	src Source
	o   Options
}

// badRequest is an error that the caller of the interface made.
type badRequest struct{ error }

func bad(format string, args ...any) error { return badRequest{fmt.Errorf(format, args...)} }

// json serves what fn returns, or its error.
func (h *handler) json(fn func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := fn(r)
		var br badRequest
		switch {
		case err == nil:
			writeJSON(w, http.StatusOK, v)
		case errors.As(err, &br):
			writeError(w, http.StatusBadRequest, err.Error())
		case errors.Is(err, ErrUnknown):
			writeError(w, http.StatusNotFound, err.Error())
		case errors.Is(err, forecast.ErrNoHistory):
			writeError(w, http.StatusConflict, err.Error())
		default:
			h.o.Log.Error("status request failed", "path", r.URL.Path, "error", err)
			writeError(w, http.StatusInternalServerError, "internal error; the agent's log says more")
		}
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"error":{"message":"internal error"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n'))
}

func writeError(w http.ResponseWriter, code int, message string) {
	writeJSON(w, code, map[string]any{"error": map[string]any{"message": message}})
}

// noRoute answers what mux has no route for, in the form of all other errors.
func noRoute(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			try := r.Clone(r.Context())
			try.Method = method
			if _, pattern := mux.Handler(try); pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			writeError(w, http.StatusNotFound, "no such path; /v1/points lists the points")
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeError(w, http.StatusMethodNotAllowed, "want "+strings.Join(allowed, " or "))
	})
}

func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	parts, code, word := h.o.Parts(), http.StatusOK, "ready"
	for _, p := range parts {
		if p.Needed && !p.OK {
			code, word = http.StatusServiceUnavailable, "not ready"
		}
	}
	writeJSON(w, code, map[string]any{"status": word, "parts": parts})
}

func (h *handler) overview(r *http.Request) (any, error) {
	if err := onlyParams(r.URL.Query()); err != nil {
		return nil, err
	}
	return h.src.Overview(), nil
}

type pointView struct {
	ID           string         `json:"id"`
	Register     meter.Register `json:"register"`
	Unit         string         `json:"unit"`       // of the reading's value
	Resolution   string         `json:"resolution"` // ISO 8601
	LastReading  *readingView   `json:"last_reading,omitempty"`
	LastInterval *intervalView  `json:"last_interval,omitempty"`
	Forecast     *rungView      `json:"forecast,omitempty"`
	Coverage     []Coverage     `json:"coverage,omitempty"`
}

// unitOf returns the unit of a register's values.
func unitOf(r meter.Register) string {
	info, err := meter.LookupRegister(string(r))
	if err != nil {
		return ""
	}
	return info.Unit
}

type rungView struct {
	Origin string        `json:"origin"`
	Rung   forecast.Rung `json:"rung"`
}

type readingView struct {
	At      string  `json:"at"`
	Value   float64 `json:"value"` // Wh or W
	Quality string  `json:"quality"`
}

type intervalView struct {
	Start     string          `json:"start"`
	Energy    meter.WattHours `json:"wh"`
	Quality   string          `json:"quality"`
	Recovered bool            `json:"recovered,omitempty"`
}

func (h *handler) points(r *http.Request) (any, error) {
	if err := onlyParams(r.URL.Query()); err != nil {
		return nil, err
	}
	views := []pointView{}
	for _, p := range h.src.Points() {
		v := pointView{ID: p.Name, Register: p.Register, Unit: unitOf(p.Register), Resolution: topic.FormatResolution(p.Resolution), Coverage: p.Coverage}
		if p.LastReading != nil {
			v.LastReading = &readingView{p.LastReading.At.String(), float64(p.LastReading.Value) / 1000, p.LastReading.Quality.String()}
		}
		if i := p.LastInterval; i != nil {
			v.LastInterval = &intervalView{i.Start.String(), i.Energy, i.Quality.String(), i.Recovered}
		}
		if p.Rung != "" {
			v.Forecast = &rungView{p.Origin.String(), p.Rung}
		}
		views = append(views, v)
	}
	return map[string]any{"points": views}, nil
}

func (h *handler) readings(r *http.Request) (any, error) {
	q, err := h.query(r, "limit")
	if err != nil {
		return nil, err
	}
	rs, err := h.src.Readings(r.Context(), q.point, q.register, q.from, q.to, q.limit+1)
	if err != nil {
		return nil, err
	}
	views := make([]readingView, 0, len(rs))
	for _, x := range rs[:min(len(rs), q.limit)] {
		views = append(views, readingView{x.At.String(), float64(x.Value) / 1000, x.Quality.String()})
	}
	answer := map[string]any{"point": q.point, "register": q.register, "unit": unitOf(q.register), "readings": views}
	if len(rs) > q.limit {
		answer["next"] = rs[q.limit].At.String() // the from of the next request
	}
	return answer, nil
}

func (h *handler) intervals(r *http.Request) (any, error) {
	q, err := h.query(r, "limit")
	if err != nil {
		return nil, err
	}
	is, err := h.src.Intervals(r.Context(), q.point, q.register, q.from, q.to)
	if err != nil {
		return nil, err
	}
	views := make([]intervalView, 0, len(is))
	for _, i := range is[:min(len(is), q.limit)] {
		views = append(views, intervalView{i.Start.String(), i.Energy, i.Quality.String(), i.Recovered})
	}
	answer := map[string]any{"point": q.point, "register": q.register, "intervals": views}
	if len(is) > q.limit {
		answer["next"] = is[q.limit].Start.String()
	}
	return answer, nil
}

func (h *handler) forecast(r *http.Request) (any, error) {
	if err := onlyParams(r.URL.Query()); err != nil {
		return nil, err
	}
	f, err := h.src.Forecast(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return json.RawMessage(topic.EncodeForecast(f)), nil
}

func (h *handler) makeForecast(r *http.Request) (any, error) {
	if err := onlyParams(r.URL.Query()); err != nil {
		return nil, err
	}
	f, err := h.src.MakeForecast(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return json.RawMessage(topic.EncodeForecast(f)), nil
}

type query struct {
	point    string
	register meter.Register
	from, to meter.Millis
	limit    int
}

// query reads the parameters register, from, to and limit; by default the last 24 hours of energy-import.
func (h *handler) query(r *http.Request, more ...string) (query, error) {
	values := r.URL.Query()
	if err := onlyParams(values, append(more, "register", "from", "to")...); err != nil {
		return query{}, err
	}
	now := meter.MillisOf(h.o.Now())
	q := query{point: r.PathValue("id"), register: meter.EnergyImport, from: now.Add(-24 * time.Hour), to: now, limit: defaultLimit}
	if s := values.Get("register"); s != "" {
		info, err := meter.LookupRegister(s)
		if err != nil {
			return q, bad("%w", err)
		}
		q.register = info.Name
	}
	for _, p := range []struct {
		name string
		into *meter.Millis
	}{{"to", &q.to}, {"from", &q.from}} {
		s := values.Get(p.name)
		if s == "" {
			if p.name == "from" && values.Get("to") != "" {
				q.from = q.to.Add(-24 * time.Hour)
			}
			continue
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return q, bad("%s=%.40q: want a time as 2026-01-31T13:00:00Z", p.name, s)
		}
		*p.into = meter.MillisOf(t)
	}
	if q.to <= q.from {
		return q, bad("to=%s is not after from=%s: want from < to", q.to, q.from)
	}
	if s := values.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			return q, bad("limit=%.20q: want 1 to %d", s, maxLimit)
		}
		q.limit = n
	}
	return q, nil
}

// onlyParams returns an error that names a parameter which the route does not have.
func onlyParams(values url.Values, names ...string) error {
	for name, vs := range values {
		if !slices.Contains(names, name) {
			slices.Sort(names)
			return bad("unknown parameter %.40q: want only %v", name, names)
		}
		if len(vs) > 1 {
			return bad("parameter %s is given %d times: want it once", name, len(vs))
		}
	}
	return nil
}
