package app

import (
	"log/slog"
	"sync"
	"time"

	"fluxora.dev/agent/internal/artifact"
	"fluxora.dev/agent/internal/predict"
	"fluxora.dev/shared/model"
)

// checkArtifact refuses an artifact that this agent could not forecast with: bytes that do not decode, a feature spec
// whose hash is not that of the features it names, or another result for the self-test's rows than the trainer got.
func checkArtifact(b []byte) error {
	a, err := model.Decode(b)
	if err != nil {
		return err
	}
	return a.SelfTest()
}

// models shows the cached artifacts to the predictor, each decoded once.
type models struct {
	cache *artifact.Cache
	log   *slog.Logger

	mu      sync.Mutex
	decoded map[string]*model.Artifact
}

var _ predict.Models = (*models)(nil)

// Models implements predict.Models.
func (m *models) Models(resolution time.Duration) (active, previous *model.Artifact) {
	a, haveA := m.cache.Active()
	p, haveP := m.cache.Previous()
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := map[string]*model.Artifact{}
	for _, held := range []struct {
		model artifact.Model
		have  bool
		into  **model.Artifact
	}{{a, haveA, &active}, {p, haveP, &previous}} {
		if !held.have {
			continue
		}
		art := m.decoded[held.model.ID]
		if art == nil {
			var err error
			if art, err = model.Decode(held.model.Bytes); err != nil {
				m.log.Error("cached model does not decode", "model", held.model.ID, "error", err)
				continue
			}
			art.ID = held.model.ID
		}
		keep[held.model.ID] = art
		if art.Resolution == resolution {
			*held.into = art
		}
	}
	m.decoded = keep
	return active, previous
}
