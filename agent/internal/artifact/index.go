package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fluxora.dev/proto/wire"
)

const indexName = "index.json"

// maxRefused bounds how many refusals are remembered, newest last.
const maxRefused = 32

// index says what the files are. It is kept as JSON.
type index struct {
	Version  string             `json:"version"` // of the agent's software that wrote it
	Active   *wire.ModelVersion `json:"active,omitempty"`
	Previous *wire.ModelVersion `json:"previous,omitempty"`
	Refused  []refusal          `json:"refused,omitempty"`
}

type refusal struct {
	Model  wire.ModelVersion `json:"model"`
	Reason string            `json:"reason"`
}

func readIndex(dir string) (index, error) {
	b, err := os.ReadFile(filepath.Join(dir, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		return index{}, nil
	}
	if err != nil {
		return index{}, err
	}
	var x index
	if err := json.Unmarshal(b, &x); err != nil {
		return index{}, fmt.Errorf("%s: %w", indexName, err)
	}
	return x, nil
}

func (x index) write(dir string) error {
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(dir, indexName, b)
}

// versions returns the versions that are held.
func (x index) versions() (vs []wire.ModelVersion) {
	for _, v := range []*wire.ModelVersion{x.Active, x.Previous} {
		if v != nil {
			vs = append(vs, *v)
		}
	}
	return vs
}

// drop forgets the version with the given id.
func (x *index) drop(id string) {
	if x.Active != nil && x.Active.ID == id {
		x.Active = nil
	}
	if x.Previous != nil && x.Previous.ID == id {
		x.Previous = nil
	}
}

func (x *index) refuse(v wire.ModelVersion, reason string) {
	x.Refused = append(x.Refused, refusal{v, reason})
	if n := len(x.Refused); n > maxRefused {
		x.Refused = x.Refused[n-maxRefused:]
	}
}

// refused returns why the version was refused. Another signature or digest under the same id is another version.
func (x index) refused(v wire.ModelVersion) (reason string, yes bool) {
	for _, r := range x.Refused {
		if r.Model.ID == v.ID && r.Model.SHA256 == v.SHA256 && string(r.Model.Signature) == string(v.Signature) {
			return r.Reason, true
		}
	}
	return "", false
}

func (x index) states() (ss []wire.ModelState) {
	if x.Active != nil {
		ss = append(ss, wire.ModelState{ID: x.Active.ID, State: wire.ModelActive})
	}
	if x.Previous != nil {
		ss = append(ss, wire.ModelState{ID: x.Previous.ID, State: wire.ModelPrevious})
	}
	for _, r := range x.Refused {
		ss = append(ss, wire.ModelState{ID: r.Model.ID, State: wire.ModelRefused, Detail: r.Reason})
	}
	return ss
}

// writeFile puts b under name in dir, whole or not at all, and durably.
func writeFile(dir, name string, b []byte) error {
	t, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(b)
	if err := errors.Join(err, t.Sync(), t.Close()); err != nil {
		return err
	}
	if err := os.Rename(t.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
