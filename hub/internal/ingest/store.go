package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/guard"
	"fluxora.dev/proto/wire"
)

// Errors that a Store returns, wrapped or not.
var (
	ErrNotFound   = errors.New("not found")
	ErrOverlap    = errors.New("the batch is committed in part")
	ErrUndeclared = errors.New("the batch uses a series that was not declared")
	ErrCorrupt    = errors.New("what was sent can never be stored")
	ErrTokenUsed  = errors.New("the enrolment token was used")
)

// Agent is what the store knows of the holder of a certificate.
type Agent struct {
	Org, ID, Site uuid.UUID
	SiteName      string
	Revoked       bool
}

// Store keeps what agents send. All methods may be called concurrently; those of one agent's epoch are called by one session
// at a time, except that a session which died may still be inside CommitBatch.
type Store interface {
	// AgentByCertificate returns the agent that holds the certificate, or ErrNotFound.
	AgentByCertificate(ctx context.Context, agent uuid.UUID, serial string) (Agent, error)
	// Fallen returns those of the holders whose agent was revoked or whose certificate is not known.
	Fallen(ctx context.Context, holders []Holder) ([]uuid.UUID, error)
	// Knock decides whether the agent is a copy, and keeps what follows from that: package guard says how. count is the number that
	// the receipt in Hello proves, from the agent's address. On return the decision must be durable.
	Knock(ctx context.Context, a Agent, h wire.Hello, count uint64, from string) (guard.Lineage, guard.Verdict, error)
	// OpenSession notes what the agent says of itself and returns what is committed of its epoch.
	OpenSession(ctx context.Context, a Agent, h wire.Hello) (wire.Received, error)
	// Declare notes the series. It is idempotent.
	Declare(ctx context.Context, a Agent, epoch uint64, ss []wire.Series) error
	// CommitBatch commits b and returns what is then committed of the epoch. A batch that is committed already changes
	// nothing and is no error; one committed in part changes nothing and gives ErrOverlap with what is committed. Blocks that
	// do not decode or do not add up give ErrCorrupt. When it returns nil, b must be durable. The chunks must not be kept.
	CommitBatch(ctx context.Context, a Agent, epoch uint64, b wire.Batch) (wire.Received, error)
	// PutReport stores forecasts, quarantined messages and model states by their keys, all or none. It is idempotent. What
	// can never be stored gives ErrCorrupt.
	PutReport(ctx context.Context, a Agent, epoch uint64, r wire.Report) error
	// SiteConfig returns what the agents of a site are told.
	SiteConfig(ctx context.Context, a Agent) (wire.SiteConfig, error)
	// NewWeather returns the weather at the site of an agent that goes beyond what it holds.
	NewWeather(ctx context.Context, a Agent, held wire.Held) (wire.Weather, error)
	// AnnouncedModels returns the models that agents of a site should hold, best first.
	AnnouncedModels(ctx context.Context, a Agent) ([]wire.ModelVersion, error)
	// ArtifactChunk returns at most n bytes of a model's artifact from offset on, none at its end, or ErrNotFound.
	ArtifactChunk(ctx context.Context, a Agent, model string, offset uint64, n int) ([]byte, error)
}

// Admission is an agent to be let in.
type Admission struct {
	Token       uuid.UUID
	Org, Site   uuid.UUID
	Agent       uuid.UUID
	Version     string
	Certificate string // serial, hex
	NotAfter    time.Time
}

// Enrolment keeps who may come in.
type Enrolment interface {
	// Admit uses the token, puts the agent and notes its certificate, all in one transaction, and returns the site's name and
	// configuration. A token that was used by the same agent before is good for it again until it expires; one used by
	// another gives ErrTokenUsed; one that is not in the store or was withdrawn, ErrNotFound. An agent that was revoked stays
	// revoked and gives ErrNotFound.
	Admit(ctx context.Context, a Admission) (site string, c wire.SiteConfig, err error)
	// PutCertificate notes another certificate of an agent.
	PutCertificate(ctx context.Context, a Agent, serial string, notAfter time.Time) error
}
