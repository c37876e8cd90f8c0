package app

import (
	"strings"

	"fluxora.dev/agent/internal/predict"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// adapterStates keeps what forecasts taught of each point among the store's named values. They may wait for the store's next
// flush: what a crash loses is one forecast to learn from.
type adapterStates struct{ store *store.Store }

var _ predict.States = adapterStates{}

const adapterPrefix = "adapter/"

func adapterName(point string, register meter.Register) string {
	return adapterPrefix + point + "/" + string(register)
}

// State implements predict.States.
func (s adapterStates) State(point string, register meter.Register) ([]byte, error) {
	return s.store.Value(adapterName(point, register))
}

// PutState implements predict.States.
func (s adapterStates) PutState(point string, register meter.Register, state []byte) {
	s.store.PutLater(adapterName(point, register), state)
}

// prune deletes the states of points of which the store has no series any more.
func (s adapterStates) prune() error {
	names, err := s.store.Names(adapterPrefix)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, x := range s.store.Series() {
		known[x.Point] = true
	}
	for _, name := range names {
		point, _, _ := strings.Cut(strings.TrimPrefix(name, adapterPrefix), "/")
		if !known[point] {
			s.store.PutLater(name, nil)
		}
	}
	return nil
}
