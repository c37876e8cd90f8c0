package app_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/agent/app"
	settings "fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/mqtt/mqtttest"
)

// TestBootsIn1970 runs a whole agent on a gateway whose clock is not set, and sets it.
func TestBootsIn1970(t *testing.T) {
	broker := mqtttest.Start(t)
	dir := t.TempDir()
	offset := filepath.Join(dir, "offset")
	set := func(by string) {
		t.Helper()
		if err := os.WriteFile(offset, []byte(by), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("-490000h")
	c, err := app.LoadConfig("", []string{"FLUXORA_AGENT_CLOCK_OFFSET_FILE=" + offset}, map[string]string{
		"site": "home", "data_dir": dir, "mqtt.url": broker.URL, "http.listen": "127.0.0.1:0", "store.commit_window": "10ms",
	})
	if err != nil {
		t.Fatal(err)
	}
	c.MQTT.Mappings = append(c.MQTT.Mappings, mapping())
	address := start(t, c)
	client := paho.NewClient(paho.NewClientOptions().AddBroker(broker.URL).SetClientID("publisher"))
	if token := client.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer client.Disconnect(100)
	until(t, "the agent subscribes", func() bool {
		_, body := get(t, address+"/readyz")
		return strings.Contains(body, `"name":"broker","ok":true`)
	})
	before := time.Now()
	if token := client.Publish("m/main", 1, false, "42"); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	until(t, "the reading is held", func() bool {
		_, body := get(t, address+"/metrics")
		return strings.Contains(body, "\nfluxora_agent_readings_held 1\n") && strings.Contains(body, "\nfluxora_agent_clock_trust 0\n")
	})
	after := time.Now()
	set("0s")
	var got struct {
		Readings []struct{ At, Quality string }
	}
	until(t, "the reading is stored", func() bool {
		q := url.Values{"from": {before.Add(-time.Hour).UTC().Format(time.RFC3339)}, "to": {after.Add(time.Hour).UTC().Format(time.RFC3339)}}
		code, body := get(t, address+"/v1/points/main/readings?"+q.Encode())
		return code == 200 && json.Unmarshal([]byte(body), &got) == nil && len(got.Readings) > 0
	})
	at, err := time.Parse(time.RFC3339, got.Readings[0].At)
	if err != nil || at.Before(before.Add(-time.Second)) || at.After(after.Add(time.Second)) || got.Readings[0].Quality != "estimated" {
		t.Errorf("%+v, %v, want an instant between %s and %s, estimated", got, err, before.UTC(), after.UTC())
	}
}

func mapping() (m settings.Mapping) {
	m.Preset, m.Topic, m.Register, m.Unit = "plain", "m/{point}", "1.8.0", "kWh"
	return m
}

// until waits for what is asked again and again, half a minute at most.
func until(t *testing.T, what string, fn func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !fn() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it did not come about that %s", what)
		}
	}
}
