package ingest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/ingest"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/shared/meter"
)

// blindLog cannot be read while blind is set, as a store whose disk failed when it was opened.
type blindLog struct {
	slowLog
	blind *atomic.Bool
}

func (blindLog) Next() uint64 { return 2 }

func (l blindLog) Readings(uint64, int) ([]meter.Reading, uint64, error) {
	if l.blind.Load() {
		return nil, 0, errors.New("input/output error")
	}
	return nil, 2, nil
}

// Found by the campaign with seed 237384722: the agent ended.
func TestUnreadableLogIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var groups []int
		log := blindLog{slowLog{groups: &groups, fail: new(atomic.Bool)}, new(atomic.Bool)}
		log.blind.Store(true)
		c := config.Default()
		c.Site = "home"
		in, err := ingest.New(log, ingest.Options{Config: c, Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = in.Run(ctx) }()
		var acked atomic.Bool
		in.Take(ctx, mqtt.NewMessage(energyTopic, []byte(`{"t":"2026-03-01T11:00:00Z","v":1}`), false, false, func() { acked.Store(true) }))
		time.Sleep(time.Minute)
		if acked.Load() {
			t.Error("acked before it was known what had been stored")
		}
		log.blind.Store(false)
		time.Sleep(time.Minute)
		if !acked.Load() {
			t.Error("not taken in once the log could be read")
		}
		cancel()
		<-done
	})
}
