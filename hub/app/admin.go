package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/featurestore"
	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/lifecycle"
)

// Admin is what the commands do. It works on a database, not through the REST interface, so it needs the rights of whoever
// runs the hub.
type Admin struct {
	b       *base
	group   *lifecycle.Group
	serving bool // part of a running hub, which works trainings
}

// OpenAdmin connects to the database, also that of a hub running in the same data directory, migrates it and returns what the commands
// do. It must be closed.
func OpenAdmin(ctx context.Context, o Options) (*Admin, error) {
	o = o.withDefaults()
	g := lifecycle.New(ctx, o.Log, o.Config.StopWithin)
	b, err := open(ctx, g, o, false, nil)
	if err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return &Admin{b: b, group: g}, nil
}

// Close ends what OpenAdmin began.
func (a *Admin) Close() error { return a.group.Stop() }

// Enrolment is a token with which one agent can enrol at a site, once.
type Enrolment struct {
	Token   string    `json:"token,omitempty"` // only when it was just made
	ID      uuid.UUID `json:"id"`
	Site    string    `json:"site"`
	Expires time.Time `json:"expires"`
	Used    bool      `json:"used"`
}

// SiteSettings is what a new site is to be. Zero fields mean the configured defaults.
type SiteSettings struct {
	Name       string
	Zone       string
	Resolution time.Duration
	Horizon    int
}

// EnsureSite makes a site unless there is one of that name, and returns its id.
func (a *Admin) EnsureSite(ctx context.Context, s SiteSettings) (uuid.UUID, error) {
	d := a.b.o.Config.Site
	if s.Zone == "" {
		s.Zone = d.Zone
	}
	if s.Resolution == 0 {
		s.Resolution = d.Resolution
	}
	if s.Horizon == 0 {
		s.Horizon = d.Horizon
	}
	site, err := a.b.store.EnsureSite(ctx, a.b.org, store.Site{Name: s.Name, Zone: s.Zone, Resolution: s.Resolution, Horizon: s.Horizon})
	return site.ID, err
}

// CreateToken makes a token for enrolling one agent at a site, which is made when there is none of that name.
func (a *Admin) CreateToken(ctx context.Context, site SiteSettings, life time.Duration) (Enrolment, error) {
	if life < time.Minute || life > 90*24*time.Hour {
		return Enrolment{}, fmt.Errorf("life of the token is %s: want 1m to 2160h", life)
	}
	id, err := a.EnsureSite(ctx, site)
	if err != nil {
		return Enrolment{}, err
	}
	signed, t, err := a.b.authority.NewToken(a.b.org, id, life)
	if err != nil {
		return Enrolment{}, err
	}
	if err := a.b.store.PutEnrolmentToken(ctx, t.Org, t.ID, t.Site, t.Expires); err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Token: signed, ID: t.ID, Site: site.Name, Expires: t.Expires}, nil
}

// Tokens returns the enrolment tokens, newest first, without their texts, which nobody keeps.
func (a *Admin) Tokens(ctx context.Context) ([]Enrolment, error) {
	rows, err := a.b.store.EnrolmentTokens(ctx, a.b.org, 1000)
	if err != nil {
		return nil, err
	}
	out := make([]Enrolment, len(rows))
	for i, r := range rows {
		out[i] = Enrolment{ID: r.ID, Site: r.Site, Expires: r.Expires.UTC(), Used: r.UsedAt != nil}
	}
	return out, nil
}

// RevokeToken makes a token useless.
func (a *Admin) RevokeToken(ctx context.Context, id uuid.UUID) error {
	err := a.b.store.DeleteEnrolmentToken(ctx, a.b.org, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no unused token %s: `fluxora-hub token list` shows them; an agent that used it is shut out by `fluxora-hub agent revoke`", id)
	}
	return err
}

// RevokeAgent shuts an agent out for good. A running hub ends its session within seconds.
func (a *Admin) RevokeAgent(ctx context.Context, id uuid.UUID) error {
	err := a.b.store.RevokeAgent(ctx, a.b.org, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no agent %s: `fluxora-hub agent list` shows them", id)
	}
	return err
}

// ReadmitAgent lets in the next agent of that identity that would be refused as a copy: the one whose readings are wanted. It begins a
// new epoch, and whoever is in force until then is refused.
func (a *Admin) ReadmitAgent(ctx context.Context, id uuid.UUID) error {
	err := a.b.store.Readmit(ctx, a.b.org, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no agent %s that is not revoked: `fluxora-hub agent list` shows them", id)
	}
	return err
}

// Agent is one agent as the hub last heard of it.
type Agent = api.Agent

// Agents returns all agents, by id.
func (a *Admin) Agents(ctx context.Context) ([]Agent, error) {
	rows, err := a.b.store.AgentRows(ctx, a.b.org, uuid.Nil, 1_000_000)
	if err != nil {
		return nil, err
	}
	return api.AgentsOf(rows, time.Now()), nil
}

// RotateAPIToken makes a new token for the REST interface and makes the one before useless within seconds.
func (a *Admin) RotateAPIToken(ctx context.Context) (string, error) {
	token, digest := api.NewToken()
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	return token, a.b.store.ReplaceAPITokens(ctx, a.b.org, id, digest[:])
}

// firstToken makes a token for the REST interface when there is none, and prints it, once.
func firstToken(ctx context.Context, b *base) (string, error) {
	token, digest := api.NewToken()
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	stored, err := b.store.PutFirstAPIToken(ctx, b.org, id, digest[:sha256.Size])
	if err != nil || !stored {
		return "", err
	}
	fmt.Fprintf(b.o.Out, "API token (shown only now; `fluxora-hub api-token rotate` makes another): %s\n", token)
	return token, nil
}

// Training is how a training ended or how far it is.
type Training struct {
	Run     uuid.UUID        `json:"run"`
	State   string           `json:"state"`
	Stage   string           `json:"stage,omitempty"`
	Percent float64          `json:"percent"`
	Left    time.Duration    `json:"left_ns,omitempty"` // estimate, while it works
	Attempt int              `json:"attempt"`
	Outcome string           `json:"outcome,omitempty"`
	Reason  string           `json:"reason,omitempty"`
	Model   *uuid.UUID       `json:"model,omitempty"`
	Scores  []registry.Score `json:"scores,omitempty"`
}

// TrainingOrder is what a training is asked to be, beyond what trainings are by themselves.
type TrainingOrder struct {
	Settings map[string]string // by name, as TrainingSettings lists them
	Spec     string            // of features: default, a name, name@version, or a file as ./spec.txt; empty: default
}

// TrainingSetting is one thing that a training can be told.
type TrainingSetting = train.Setting

// TrainingSettings lists what a training can be told.
func TrainingSettings() []TrainingSetting { return train.Settings() }

// order resolves what a training is asked to be.
func (a *Admin) order(ctx context.Context, o TrainingOrder) (jobs.Order, error) {
	out := jobs.Order{Settings: o.Settings}
	if o.Spec == "" || o.Spec == featurestore.Default {
		return out, nil
	}
	spec, name, err := featurestore.Find(ctx, a.b.store, a.b.org, o.Spec)
	out.Features, out.Spec = name, spec.String()
	return out, err
}

// patience is how long a command waits for a hub to begin with a training before it works the training itself.
const patience = 5 * time.Second

// Train asks for a training, or joins the one that is under way, calls watch with each change and returns its end. When no
// hub begins with it, this process works it.
func (a *Admin) Train(ctx context.Context, resolution time.Duration, o TrainingOrder, watch func(Training)) (Training, error) {
	order, err := a.order(ctx, o)
	if err != nil {
		return Training{}, err
	}
	run, _, err := a.b.asker.TrainTo(ctx, a.b.org, resolution, jobs.CauseDemand, order)
	if err != nil {
		return Training{}, err
	}
	begun := make(chan struct{})
	seen := sync.OnceFunc(func() { close(begun) })
	if !a.serving {
		wait := patience
		if a.b.private != nil {
			wait = 0 // this process holds the data directory, so no hub runs
		}
		stop, err := a.help(ctx, begun, wait)
		if err != nil {
			return Training{}, err
		}
		defer stop()
	}
	var bad error
	end, err := a.b.asker.Follow(ctx, a.b.org, run, 200*time.Millisecond, func(r store.TrainingRun) {
		if r.State != "queued" {
			seen()
		}
		t, err := trainingOf(r)
		bad = errors.Join(bad, err)
		watch(t)
	})
	if err != nil {
		return Training{}, err
	}
	t, err := trainingOf(end)
	return t, errors.Join(bad, err)
}

// help starts a trainer in this process unless a training has begun within wait. The returned function stops it.
func (a *Admin) help(ctx context.Context, begun <-chan struct{}, wait time.Duration) (stop func(), err error) {
	trainer, err := newTrainer(a.b, nil, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-begun:
			return
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := trainer.Start(ctx); err != nil {
			a.b.o.Log.Error("this process cannot work the training; start `fluxora-hub serve`", "error", err)
			return
		}
		<-ctx.Done()
		late, end := context.WithTimeout(context.WithoutCancel(ctx), a.b.o.Config.StopWithin)
		defer end()
		if err := trainer.Stop(late); err != nil {
			a.b.o.Log.Warn("the training was not put back into the queue", "error", err)
		}
	})
	return func() { cancel(); wg.Wait() }, nil
}

func trainingOf(r store.TrainingRun) (Training, error) {
	scores, err := registry.DecodeScores(r.Scores)
	t := Training{
		Run: r.ID, State: r.State, Stage: r.Stage, Percent: r.Percent, Attempt: r.Attempt, Outcome: r.Outcome, Reason: r.Reason,
		Model: r.Model, Scores: scores,
	}
	if r.Left != nil {
		t.Left = *r.Left
	}
	return t, err
}

// Backtest measures the active model beside the baselines and returns the scores and a table of them.
func (a *Admin) Backtest(ctx context.Context, resolution time.Duration) ([]registry.Score, string, error) {
	active, err := a.b.registry.Active(ctx, a.b.org, resolution)
	if errors.Is(err, store.ErrNotFound) {
		return nil, "", fmt.Errorf("there is no active model of resolution %s: `fluxora-hub train` makes one", resolution)
	}
	if err != nil {
		return nil, "", err
	}
	return newEngine(a.b).Backtest(ctx, a.b.org, resolution, active, func(string, float64) {})
}

// RollBack makes the previous model active again and returns its id.
func (a *Admin) RollBack(ctx context.Context, resolution time.Duration, reason string) (uuid.UUID, error) {
	return a.b.registry.RollBack(ctx, a.b.org, resolution, reason)
}

func newEngine(b *base) *jobs.Engine {
	t := b.o.Config.Training
	return &jobs.Engine{Store: b.store, History: t.History, Threads: t.Threads, Settings: t.All(), Version: b.o.Version, Log: b.o.Log.With("component", "training")}
}

func newTrainer(b *base, schedule *jobs.Schedule, done func(outcome string, took time.Duration)) (*jobs.Trainer, error) {
	return jobs.NewTrainer(jobs.TrainerOptions{
		Store: b.store, Pool: b.store.Pool(), Registry: b.registry, Learner: newEngine(b), Schedule: schedule, Exporter: newExporter(b),
		Timeout: b.o.Config.Training.Timeout, Log: b.o.Log.With("component", "training"), Now: b.o.Now, Done: done,
	})
}
