package main

import (
	"context"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// publish sends single readings to the agent's broker, Rate of them a second over all points, until ctx ends.
func (b *bench) publish(ctx context.Context) error {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.broker.URL()).SetClientID("fluxora-bench").SetConnectTimeout(5 * time.Second))
	if t := c.Connect(); t.Wait() && t.Error() != nil {
		return fmt.Errorf("connect to the broker: %w", t.Error())
	}
	defer c.Disconnect(250)
	const step = 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	start, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due := int(time.Since(start).Seconds() * float64(b.Rate))
		var last mqtt.Token
		for ; sent < due; sent++ {
			r := []topic.Payload{{At: meter.MillisOf(time.Now()), Value: int64(sent) * 1000, Meter: "bench", Kind: meter.Counter}}
			last = c.Publish(topic.ReadingTopic("bench", fmt.Sprintf("load-%02d", sent%b.Points), meter.EnergyImport), 1, false, topic.EncodeReadings(nil, r, "Wh"))
		}
		if last != nil && last.Wait() && last.Error() != nil {
			return fmt.Errorf("publish: %w", last.Error())
		}
	}
}
