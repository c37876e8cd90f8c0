package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fluxora.dev/shared/meter"
)

// state is what a restart goes on from.
type state struct {
	Recording string       `json:"recording"` // fingerprint of what is played
	Weeks     int          `json:"shift_weeks"`
	Done      meter.Millis `json:"done_ms"` // every reading up to this instant has arrived; 0 for none
}

// fingerprint identifies recordings, choice and names: another one has other values at the same instants.
func fingerprint(series []*Series, points map[string]string) string {
	h := sha256.New()
	for _, s := range series {
		fmt.Fprintf(h, "%s|%s|%s|%d|%d|%d|%d\n", s.Meter, points[s.Meter], s.Register, s.Start, s.Resolution, s.Len(), s.sum[s.Len()])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// readState returns the zero state when there is none yet.
func readState(path string) (state, error) {
	var s state
	if path == "" {
		return s, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, fmt.Errorf("read state %s: %w", path, err)
	}
	return s, nil
}

// writeState replaces the file whole: after a crash there is the old state or the new one.
func writeState(path string, s state) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".state-*")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}
