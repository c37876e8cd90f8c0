package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/featurestore"
	"fluxora.dev/shared/feature"
)

// FeatureSpec is a spec of features that is kept under a name.
type FeatureSpec struct {
	Name    string    `json:"name"`
	Version int       `json:"version"`
	Hash    string    `json:"hash"` // SHA-256 of the text
	Created time.Time `json:"created"`
}

// Features says what the features of a spec are.
type Features struct {
	Hash     string                `json:"hash"`
	Reach    string                `json:"reach"`
	Features []feature.Description `json:"features"`
}

// DescribeFeatures describes a spec that needs no database: the default one, or a file.
func DescribeFeatures(ctx context.Context, spec string) (Features, error) {
	s, err := featurestore.Resolve(ctx, nil, uuid.Nil, spec)
	return describe(s), err
}

// DescribeFeatures describes any spec.
func (a *Admin) DescribeFeatures(ctx context.Context, spec string) (Features, error) {
	s, err := featurestore.Resolve(ctx, a.b.store, a.b.org, spec)
	return describe(s), err
}

func describe(s feature.Spec) Features {
	return Features{Hash: s.HexHash(), Reach: s.Reach().String(), Features: s.Describe()}
}

// AddFeatures keeps the spec of a file under a name, as a new version unless one holds it already.
func (a *Admin) AddFeatures(ctx context.Context, name, path string) (FeatureSpec, error) {
	if name == featurestore.Default {
		return FeatureSpec{}, fmt.Errorf("feature spec %s: that is the name of this program's own: want another", name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return FeatureSpec{}, err
	}
	s, err := feature.ParseSpec(string(text))
	if err != nil {
		return FeatureSpec{}, fmt.Errorf("%s: %w", path, err)
	}
	f, err := a.b.store.PutFeatureSpec(ctx, a.b.org, name, s.String())
	return FeatureSpec{f.Name, f.Version, hex.EncodeToString(f.Hash), f.Created}, err
}

// FeatureSpecs lists the specs that are kept.
func (a *Admin) FeatureSpecs(ctx context.Context) ([]FeatureSpec, error) {
	fs, err := a.b.store.FeatureSpecs(ctx, a.b.org)
	out := []FeatureSpec{}
	for _, f := range fs {
		out = append(out, FeatureSpec{f.Name, f.Version, hex.EncodeToString(f.Hash), f.Created})
	}
	return out, err
}

// Materialization says which rows of features are to be written where.
type Materialization struct {
	Spec            string // as featurestore.Resolve takes it
	Site, Point     string // empty: all
	From, To        time.Time
	Resolution      time.Duration
	Stride, Horizon time.Duration
	Out             string // file ending in .csv, .ndjson or .parquet
}

// Materialized says what was written.
type Materialized = featurestore.Counts

// Materialize writes rows of features, as they were known at their origins, to a file.
func (a *Admin) Materialize(ctx context.Context, m Materialization) (Materialized, error) {
	spec, err := featurestore.Resolve(ctx, a.b.store, a.b.org, m.Spec)
	if err != nil {
		return Materialized{}, err
	}
	q := featurestore.Query{Spec: spec, Site: m.Site, Point: m.Point, Resolution: m.Resolution, From: m.From, To: m.To, Stride: m.Stride, Horizon: m.Horizon}
	if err := q.Check(); err != nil {
		return Materialized{}, err
	}
	file, err := featurestore.File(m.Out, spec)
	if err != nil {
		return Materialized{}, err
	}
	n, err := featurestore.Materialize(ctx, a.b.store, a.b.org, q, file.Write)
	if err != nil {
		return n, errors.Join(err, file.Discard())
	}
	return n, file.Close()
}
