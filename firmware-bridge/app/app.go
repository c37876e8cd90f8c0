// Package app wires the bridge: the settings, the driver, the publisher and the metrics. It is the only package of the
// bridge that may be imported from outside.
package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fluxora.dev/firmware-bridge/internal/driver"
	"fluxora.dev/firmware-bridge/internal/driver/replay"
	"fluxora.dev/firmware-bridge/internal/publish"
	"fluxora.dev/shared/lifecycle"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Options are what Run needs beside the settings.
type Options struct {
	Config  Config
	Version string
	Log     *slog.Logger
	Now     func() time.Time  // nil: time.Now
	Ready   func(addr string) // called once with the address of the HTTP interface, if there is one; may be nil
}

// Run reads the recording, connects and publishes until ctx ends. An orderly stop returns nil.
func Run(ctx context.Context, o Options) error {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := o.Config
	series, err := recording(c.Replay)
	if err != nil {
		return err
	}
	tlsConfig, err := c.MQTT.tls()
	if err != nil {
		return err
	}
	stateFile := ""
	if c.DataDir != "" {
		if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
		stateFile = filepath.Join(c.DataDir, "replay.json")
	}
	source, err := replay.New(series, replay.Options{
		Backfill: time.Duration(c.Replay.Backfill) * 24 * time.Hour, Every: c.Replay.Every, Points: c.Replay.Points,
		StateFile: stateFile, Log: o.Log.With("component", "replay"), Now: o.Now,
	})
	if err != nil {
		return err
	}
	p := publish.New(publish.Options{
		URL: c.MQTT.URL, ClientID: c.clientID(), Username: c.MQTT.Username, Password: c.MQTT.password, TLS: tlsConfig,
		Site: c.Site, Version: o.Version, Window: c.MQTT.MaxInflight, WaitForAgent: c.MQTT.WaitForAgent,
		Log: o.Log.With("component", "publish"), Now: o.Now,
	})

	group := lifecycle.New(ctx, o.Log, 10*time.Second)
	if c.HTTP.Listen != "" {
		addr, err := serve(group, c.HTTP.Listen, p)
		if err != nil {
			return errors.Join(err, group.Stop())
		}
		o.Log.Info("listening", "address", addr)
		if o.Ready != nil {
			o.Ready(addr)
		}
	}
	group.Go("publish", p.Run)
	group.Go("replay", func(ctx context.Context) error { return source.Run(ctx, sink{c.Site, p}) })
	return group.Wait()
}

// sink gives a driver's batches to the publisher as payloads.
type sink struct {
	site string
	*publish.Publisher
}

// Emit implements driver.Sink.
func (s sink) Emit(ctx context.Context, b driver.Batch) error {
	payload := topic.EncodeReadings(nil, b.Readings, b.Unit)
	return s.Publish(ctx, topic.ReadingTopic(s.site, b.Point, b.Register), payload, len(b.Readings))
}

// List returns a line for each register that the settings choose: the meter's name first, separated by blanks.
func List(c Config) ([]string, error) {
	series, err := recording(c.Replay)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, s := range series {
		line := s.String()
		if s.Category != "" {
			line += ", category " + s.Category
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// recording reads or makes what is played.
func recording(r Replay) ([]*replay.Series, error) {
	register, err := meter.LookupRegister(r.Register)
	if err != nil {
		return nil, err
	}
	if r.File == "" {
		profiles := r.Profiles
		if len(profiles) == 0 {
			profiles = replay.Profiles()
		}
		count := r.Count
		if count == 0 {
			count = len(profiles)
		}
		return replay.Synthetic(profiles, count, r.Seed, r.Resolution)
	}
	sel := replay.Selection{Names: r.Meters, Categories: r.Categories, Offset: r.Offset, Count: r.Count}
	metersFile := r.MetersFile
	if metersFile == "" {
		metersFile = filepath.Join(filepath.Dir(r.File), "meters.csv")
	}
	categories, err := replay.ReadCategories(metersFile)
	if errors.Is(err, fs.ErrNotExist) && r.MetersFile == "" && len(r.Categories) == 0 {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return replay.ReadTable(r.File, sel, categories, register.Name, r.Resolution)
}

// password reads the password file, which may change while the bridge runs.
func (m MQTT) password() (string, error) {
	if m.PasswordFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(m.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read the broker's password: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func (m MQTT) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.CAFile != "" {
		pem, err := os.ReadFile(m.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the broker's authority: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate: want PEM", m.CAFile)
		}
	}
	if m.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(m.CertFile, m.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client's certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}
