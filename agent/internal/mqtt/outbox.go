package mqtt

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// outbox is what paho sends again on its next connection: messages that it has published and that the broker has not acked.
// It keeps them as bytes. paho's own store in memory keeps the packets themselves, and marks them as repeated while the writer
// of the connection may still be reading them: a goroutine that began to publish on the connection before is served by the
// next one, while that resumes what is stored.
//
// What came in is not kept: an unacked message comes again from the broker, and paho never asks for it.
type outbox struct {
	mu       sync.Mutex
	messages map[string][]byte
}

func (o *outbox) Open() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.messages == nil {
		o.messages = make(map[string][]byte)
	}
}

func (o *outbox) Put(key string, p packets.ControlPacket) {
	if _, is := p.(*packets.PublishPacket); !is || !strings.HasPrefix(key, "o.") {
		return
	}
	var b bytes.Buffer
	if p.Write(&b) != nil {
		return // only a packet that could not be sent either
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.messages != nil {
		o.messages[key] = b.Bytes()
	}
}

func (o *outbox) Get(key string) packets.ControlPacket {
	o.mu.Lock()
	b := o.messages[key]
	o.mu.Unlock()
	if b == nil {
		return nil
	}
	p, err := packets.ReadPacket(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	return p
}

func (o *outbox) All() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.messages))
}

func (o *outbox) Del(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.messages, key)
}

func (o *outbox) Close() {}

func (o *outbox) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.messages)
}
