package wire

import (
	"crypto/sha256"
	"strings"
	"time"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

// ComeBack asks an agent to go and to return no sooner than After.
type ComeBack struct {
	After    time.Duration
	Reason   string
	Doubled  bool // another agent has this one's identity, or this one's data are old
	NewEpoch bool // it is to begin a new epoch before it returns
}

// maxAfter bounds how long a hub can send an agent away: a mistake there must not cut off a fleet.
const maxAfter = time.Hour

// EncodeComeBack returns the message for c.
func EncodeComeBack(c ComeBack) *uplinkv1.ComeBack {
	return &uplinkv1.ComeBack{AfterMs: c.After.Milliseconds(), Reason: c.Reason, Doubled: c.Doubled, NewEpoch: c.NewEpoch}
}

// DecodeComeBack returns what m says, After brought within 0 and one hour.
func DecodeComeBack(m *uplinkv1.ComeBack) ComeBack {
	ms := min(max(m.GetAfterMs(), 0), maxAfter.Milliseconds())
	return ComeBack{time.Duration(ms) * time.Millisecond, cut(m.GetReason(), MaxText), m.GetDoubled(), m.GetNewEpoch()}
}

// SiteConfig is what the hub decides for a site. Zero fields leave the agent's own configuration in force.
type SiteConfig struct {
	Revision   uint64
	Zone       string // IANA name
	Resolution time.Duration
	Horizon    int // intervals
	Levels     []float64
	Country    string // ISO 3166-1 alpha-2, or with a part of it as DE-BY
	Vacations  []holiday.Range
	Facts      map[string]float64
}

// Around returns what of c surrounds the points of the site.
func (c SiteConfig) Around() *feature.Site {
	return &feature.Site{Country: c.Country, Vacations: c.Vacations, Facts: c.Facts}
}

// maxVacations bounds what is decoded; package feature bounds what is used.
const maxVacations = 1000

// EncodeSiteConfig returns the message for c.
func EncodeSiteConfig(c SiteConfig) *uplinkv1.SiteConfig {
	m := &uplinkv1.SiteConfig{
		Revision: c.Revision, Zone: c.Zone, ResolutionMs: c.Resolution.Milliseconds(), Horizon: uint32(c.Horizon), Levels: c.Levels,
		Country: c.Country, Facts: c.Facts,
	}
	for _, v := range c.Vacations {
		m.Vacations = append(m.Vacations, v.String())
	}
	return m
}

// DecodeSiteConfig returns what m says.
func DecodeSiteConfig(m *uplinkv1.SiteConfig) (SiteConfig, error) {
	c := SiteConfig{Revision: m.GetRevision(), Zone: m.GetZone(), Horizon: int(m.GetHorizon()), Levels: m.GetLevels()}
	var err error
	if c.Resolution, err = decodeResolution("site configuration", m.GetResolutionMs()); err != nil {
		return SiteConfig{}, err
	}
	if m.GetHorizon() > MaxSteps {
		return SiteConfig{}, invalid("site configuration: horizon %d: want at most %d", m.GetHorizon(), MaxSteps)
	}
	if len(c.Levels) > 0 {
		if err := forecast.CheckLevels(c.Levels); err != nil {
			return SiteConfig{}, invalid("site configuration: %v", err)
		}
	}
	if c.Country, c.Facts = m.GetCountry(), m.GetFacts(); len(m.GetVacations()) > maxVacations {
		return SiteConfig{}, invalid("site configuration: %d vacations: want at most %d", len(m.GetVacations()), maxVacations)
	}
	for _, text := range m.GetVacations() {
		var v holiday.Range
		if err := v.UnmarshalText([]byte(text)); err != nil {
			return SiteConfig{}, invalid("site configuration: %v", err)
		}
		c.Vacations = append(c.Vacations, v)
	}
	if err := checkText("site configuration: country", c.Country); err != nil {
		return SiteConfig{}, err
	}
	around := c.Around()
	around.Country = "" // another hub may know countries that this agent does not: they are left out later, not refused
	if err := around.Check(); err != nil {
		return SiteConfig{}, invalid("site configuration: %v", err)
	}
	return c, checkText("site configuration: zone", c.Zone)
}

// ModelVersion announces a model that agents should hold.
type ModelVersion struct {
	ID        string
	Family    string
	Size      uint64 // bytes of the artifact
	SHA256    [sha256.Size]byte
	Signature []byte // by model.Sign
	Spec      string // hash of the feature spec, hex
}

// EncodeModels returns the message that announces vs, best first.
func EncodeModels(vs []ModelVersion) *uplinkv1.Models {
	m := &uplinkv1.Models{}
	for _, v := range vs {
		m.Models = append(m.Models, &uplinkv1.ModelVersion{
			Id: v.ID, Family: v.Family, Size: v.Size, Sha256: v.SHA256[:], Signature: v.Signature, Spec: v.Spec,
		})
	}
	return m
}

// DecodeModels returns the model versions in m. Their names are safe as file names.
func DecodeModels(m *uplinkv1.Models) ([]ModelVersion, error) {
	if len(m.GetModels()) > MaxModels {
		return nil, invalid("%d models: want at most %d", len(m.GetModels()), MaxModels)
	}
	var vs []ModelVersion
	for _, p := range m.GetModels() {
		v := ModelVersion{ID: p.GetId(), Family: p.GetFamily(), Size: p.GetSize(), Signature: p.GetSignature(), Spec: p.GetSpec()}
		if err := meter.CheckName("model", v.ID); err != nil {
			return nil, invalid("%v", err)
		}
		if copy(v.SHA256[:], p.GetSha256()) != sha256.Size || len(p.GetSha256()) != sha256.Size {
			return nil, invalid("model %s: digest of %d bytes: want %d", v.ID, len(p.GetSha256()), sha256.Size)
		}
		if v.Size == 0 || v.Size > MaxModelSize {
			return nil, invalid("model %s: size %d: want 1 to %d bytes", v.ID, v.Size, MaxModelSize)
		}
		if len(v.Signature) > MaxText || len(v.Family) > MaxText || len(v.Spec) > MaxText {
			return nil, invalid("model %s: signature, family or spec of more than %d bytes", v.ID, MaxText)
		}
		vs = append(vs, v)
	}
	return vs, nil
}

// toValid replaces what is not UTF-8 and cuts to most bytes.
func toValid(s string, most int) string {
	s = strings.ToValidUTF8(s, "?")
	for len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
