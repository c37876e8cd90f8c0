// Package registry keeps the model versions of the hub and decides nothing about them: a candidate is stored with its
// scores, promoted or rejected by whoever measured it, and can be rolled back.
//
// Life of a version: candidate → active → previous → retired, or candidate → rejected. A roll-back retires the active one
// and makes the previous one active again.
//
// Invariants:
//   - There is at most one active version for an organisation and resolution, at every instant, whoever promotes at once:
//     a change is one transaction under a lock, and a unique index stands behind it.
//   - What is stored was encoded, decoded again and passed its own self-test, and carries the hub's signature.
//   - Live agents are told after a change has been committed, never before; one that misses it hears at its next hello.
package registry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// The states of a model version.
const (
	Candidate = "candidate"
	Active    = "active"
	Previous  = "previous"
	Retired   = "retired"
	Rejected  = "rejected"
)

// Signer signs the digest of an artifact with the hub's key.
type Signer interface {
	SignArtifact(digest [sha256.Size]byte) []byte
}

// Announcer tells the live agents of an organisation that its models changed. It must not block on an agent.
type Announcer interface {
	Announce(ctx context.Context, org uuid.UUID) error
}

// Registry keeps model versions in the store. It is safe for concurrent use, also by several hubs on one database.
type Registry struct {
	store    *store.Store
	signer   Signer
	announce Announcer // nil: nobody to tell in this process
	log      *slog.Logger
	now      func() time.Time
}

// New returns a registry. The announcer may be nil.
func New(st *store.Store, signer Signer, announce Announcer, log *slog.Logger, now func() time.Time) *Registry {
	return &Registry{store: st, signer: signer, announce: announce, log: log, now: now}
}

// Origin is where a model version came from.
type Origin struct {
	Run    uuid.UUID // training that made it; zero for none
	Parent uuid.UUID // version that was active then; zero for none
}

// Add stores a fitted model as a candidate with the scores of its backtest and returns its id.
func (r *Registry) Add(ctx context.Context, org uuid.UUID, art *model.Artifact, scores []Score, from Origin) (uuid.UUID, error) {
	encoded, err := model.Encode(art)
	if err != nil {
		return uuid.Nil, fmt.Errorf("add model: %w", err)
	}
	back, err := model.Decode(encoded)
	if err != nil {
		return uuid.Nil, fmt.Errorf("add model: decode what was encoded: %w", err)
	}
	if err := back.SelfTest(); err != nil {
		return uuid.Nil, fmt.Errorf("add model: %w", err)
	}
	packed, err := EncodeScores(scores)
	if err != nil {
		return uuid.Nil, fmt.Errorf("add model: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("add model: %w", err)
	}
	digest := sha256.Sum256(encoded)
	err = r.store.PutModel(ctx, store.ModelRow{
		Org: org, ID: id, Family: art.Family, State: Candidate, Spec: art.Spec.HexHash(), Resolution: art.Resolution,
		TrainedFrom: art.TrainedFrom.Time(), TrainedTo: art.TrainedTo.Time(), Points: art.Points, Rows: int64(art.Rows),
		Scores: packed, SHA256: digest[:], Signature: r.signer.SignArtifact(digest), CreatedAt: r.now().UTC(),
		Run: from.Run, Parent: from.Parent,
	}, encoded)
	return id, err
}

// Promote makes a candidate the active version and tells the live agents.
func (r *Registry) Promote(ctx context.Context, org, id uuid.UUID, reason string) error {
	return r.promote(ctx, org, id, false, reason)
}

// PromoteByHand does the same with a version that was rejected or retired too, because a person wants it.
func (r *Registry) PromoteByHand(ctx context.Context, org, id uuid.UUID, reason string) error {
	return r.promote(ctx, org, id, true, reason)
}

func (r *Registry) promote(ctx context.Context, org, id uuid.UUID, byHand bool, reason string) error {
	if err := r.store.PromoteModel(ctx, org, id, byHand, reason, r.now().UTC()); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "model promoted", "org", org, "model", id, "reason", reason)
	r.tell(ctx, org)
	return nil
}

// Reject ends the life of a candidate.
func (r *Registry) Reject(ctx context.Context, org, id uuid.UUID, reason string) error {
	if err := r.store.RejectModel(ctx, org, id, reason, r.now().UTC()); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "model rejected", "org", org, "model", id, "reason", reason)
	return nil
}

// RollBack retires the active version of a resolution, makes the previous one active again, tells the live agents and
// returns the version that is active now. Without a previous version it is store.ErrNotFound.
func (r *Registry) RollBack(ctx context.Context, org uuid.UUID, resolution time.Duration, reason string) (uuid.UUID, error) {
	id, err := r.store.RollBackModel(ctx, org, resolution, reason, r.now().UTC())
	if err != nil {
		return uuid.Nil, err
	}
	r.log.InfoContext(ctx, "model rolled back", "org", org, "model", id, "reason", reason)
	r.tell(ctx, org)
	return id, nil
}

// Active returns the active version of a resolution, ready to predict, or store.ErrNotFound.
func (r *Registry) Active(ctx context.Context, org uuid.UUID, resolution time.Duration) (*model.Artifact, error) {
	row, encoded, err := r.store.ModelInState(ctx, org, resolution, Active)
	if err != nil {
		return nil, err
	}
	art, err := model.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("read active model %s: %w", row.ID, err)
	}
	art.ID = row.ID.String()
	return art, nil
}

func (r *Registry) tell(ctx context.Context, org uuid.UUID) {
	if r.announce == nil {
		return
	}
	if err := r.announce.Announce(ctx, org); err != nil {
		r.log.WarnContext(ctx, "agents not told of the change of models; they hear at their next hello", "error", err)
	}
}

// CheckAlias returns an error unless a text can name a model version: like the names of points, and no id.
func CheckAlias(alias string) error {
	if err := meter.CheckName("alias", alias); err != nil {
		return err
	}
	if _, err := uuid.Parse(alias); err == nil {
		return fmt.Errorf("alias %q: an id names its own version only: want a word, as winter", alias)
	}
	return nil
}
