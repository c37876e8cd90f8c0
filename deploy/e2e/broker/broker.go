// Package broker runs an MQTT broker inside the demo, so that it needs none installed: NATS Server with MQTT and a
// JetStream file store, which keeps QoS 1 queues and retained messages over a restart. It listens on loopback only and
// lets in whoever knows the password made for this demo.
//
// Sites run Mosquitto; the end-to-end tests do so too.
package broker

import (
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options says where and for whom the broker runs.
type Options struct {
	Dir      string // of the store
	Port     int    // on 127.0.0.1
	User     string
	Password string
}

// Broker is a running broker.
type Broker struct{ server *server.Server }

// Start starts a broker and returns when it accepts connections.
func Start(o Options) (*Broker, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "fluxora-demo",
		Host:       "127.0.0.1",
		Port:       server.RANDOM_PORT, // NATS's own protocol, which nobody uses here
		JetStream:  true,
		StoreDir:   o.Dir,
		NoSigs:     true,
		NoLog:      true,
		Username:   o.User,
		Password:   o.Password,
		MQTT: server.MQTTOpts{
			Host:          "127.0.0.1",
			Port:          o.Port,
			AckWait:       2 * time.Second, // 30 s by default, which delays redelivery after a crash
			MaxAckPending: 1000,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("start broker on %s: not ready within 10 s", net.JoinHostPort("127.0.0.1", fmt.Sprint(o.Port)))
	}
	return &Broker{s}, nil
}

// Stop stops the broker and returns when its store is closed.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}
