package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/mqtt/mqtttest"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIntake asks how fast, and at what cost to the agent, messages become durable and acked. Waiting: they queue in
// Mosquitto while the agent is away, which it then sends without regard to its limit of unacked messages. Live: another
// process publishes them while the agent is connected, as fast as it can.
func BenchmarkIntake(b *testing.B) {
	for _, bb := range []struct {
		name            string
		live            bool
		inflight, array int
		messages        int
	}{
		{"waiting/single", false, 20, 1, 40_000},
		{"waiting/array=100", false, 20, 100, 4000},
		{"live/single/inflight=20", true, 20, 1, 20_000},
		{"live/single/inflight=1000", true, 1000, 1, 40_000},
		{"live/array=100/inflight=20", true, 20, 100, 2000},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				broker := mqtttest.Start(b, "max_queued_messages 0", fmt.Sprintf("max_inflight_messages %d", bb.inflight))
				dir := b.TempDir()
				connect := func() *intake {
					x, err := start(dir, broker.URL, bb.inflight)
					if err != nil {
						b.Fatal(err)
					}
					<-x.up
					return x
				}
				x := connect()
				publisher := exec.Command(os.Args[0])
				publisher.Env = append(os.Environ(), childPublish+"="+broker.URL, fmt.Sprintf("%s=%d", childMessages, bb.messages), fmt.Sprintf("%s=%d", childArray, bb.array))
				run := publisher.Start
				if !bb.live {
					x.stop()
					run = publisher.Run
				}
				before, bytes := cpu(), written()
				began := time.Now()
				if err := run(); err != nil {
					b.Fatal(err)
				}
				if !bb.live {
					before, bytes, began = cpu(), written(), time.Now()
					x = connect()
				}
				n := float64(bb.messages)
				for news := x.store.Subscribe(); x.store.Next() <= uint64(bb.messages*bb.array); {
					<-news
				}
				took, used := time.Since(began), cpu()-before
				b.ReportMetric(n/took.Seconds(), "messages/s")
				b.ReportMetric(n*float64(bb.array)/took.Seconds(), "readings/s")
				b.ReportMetric(float64(used.Microseconds())/n, "cpu-µs/message")
				b.ReportMetric(float64(written()-bytes)/n/float64(bb.array), "B-written/reading")
				b.ReportMetric(n/float64(x.in.Stats().Commits), "messages/commit")
				x.stop()
				_ = publisher.Wait()
				broker.Down()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// Environment of a child process that publishes.
const (
	childPublish  = "FLUXORA_PUBLISH_URL"
	childMessages = "FLUXORA_PUBLISH_MESSAGES"
	childArray    = "FLUXORA_PUBLISH_ARRAY"
)

// written returns how many bytes this process has sent to the device, -1 where the kernel does not tell.
func written() int64 {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return -1
	}
	_, rest, _ := bytes.Cut(b, []byte("\nwrite_bytes: "))
	n := int64(-1)
	_, _ = fmt.Sscan(string(rest), &n)
	return n
}

// publishAll publishes messages of so many readings each and returns when the broker has them.
func publishAll(url string, messages, array int) {
	p := mqtt.New(mqtt.Options{URL: url, ClientID: "meters"}, func(mqtt.Message) {})
	p.Start()
	defer p.Stop(context.Background())
	began := meter.MillisOf(time.Now().Add(-24 * time.Hour))
	var wg sync.WaitGroup
	const points, workers = 20, 200
	for w := range workers {
		wg.Go(func() {
			ps := make([]topic.Payload, array)
			for i := w; i < messages; i += workers {
				for k := range ps {
					n := int64(i/points*array + k)
					ps[k] = topic.Payload{At: began + meter.Millis(n*100), Value: n * 1000, Kind: meter.Counter, Meter: "4711"}
				}
				name := topic.ReadingTopic("home", fmt.Sprintf("p%d", i%points), meter.EnergyImport)
				for p.Publish(context.Background(), name, topic.EncodeReadings(nil, ps, "kWh"), false) != nil {
				}
			}
		})
	}
	wg.Wait()
}
