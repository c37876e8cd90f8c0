package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"math"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// What has been fitted is kept in Params.Checkpoint, so that a training that is killed does no fit again:
//
//	nothing kept   the fit is done, then kept
//	kept           it is taken as it was: the same bytes, the same report
//	damaged, or    the same as nothing kept: the name of a fit holds the fingerprint of the data and of every setting but the
//	of other data  number of threads, so what is taken is what would be fitted
//
// Kept are the fit of each family to each table, and what came of a whole Fit. Whoever gives the Checkpoint sees to it that
// what another version of this program kept is not found, and that nothing stays when the training has ended.

// kept returns what was fitted under a name before, or fits and keeps that.
func (p Params) kept(name string, fit func() (*model.Artifact, Report, error)) (*model.Artifact, Report, error) {
	if p.Checkpoint == nil || p.print == "" {
		return fit()
	}
	key := "fit-" + p.print + "-" + name
	b, err := p.Checkpoint.Load(key)
	if err != nil {
		return nil, Report{}, fmt.Errorf("load fit %s: %w", name, err)
	}
	if a, r, err := decodeFit(b); err == nil {
		return a, r, nil
	}
	a, r, err := fit()
	if err != nil {
		return nil, r, err
	}
	if b, err = encodeFit(a, r); err != nil {
		return nil, r, fmt.Errorf("keep fit %s: %w", name, err)
	}
	if err := p.Checkpoint.Save(key, b); err != nil {
		return nil, r, fmt.Errorf("keep fit %s: %w", name, err)
	}
	return a, r, nil
}

// A kept fit is the length of its report (little-endian uint32), the report as JSON, the encoded artifact, and the SHA-256 of all.
func encodeFit(a *model.Artifact, r Report) ([]byte, error) {
	report, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	body, err := model.Encode(a)
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(report)))
	b = append(append(b, report...), body...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

func decodeFit(b []byte) (*model.Artifact, Report, error) {
	var r Report
	if len(b) < 4+sha256.Size {
		return nil, r, fmt.Errorf("%d bytes: want more", len(b))
	}
	body, sum := b[:len(b)-sha256.Size], [sha256.Size]byte(b[len(b)-sha256.Size:])
	n := uint64(binary.LittleEndian.Uint32(body))
	if sha256.Sum256(body) != sum || n > uint64(len(body)-4) {
		return nil, r, fmt.Errorf("damaged")
	}
	if err := json.Unmarshal(body[4:4+n], &r); err != nil {
		return nil, r, err
	}
	a, err := model.Decode(body[4+n:])
	if err != nil {
		return nil, r, err
	}
	a.ID = "" // as of one that was just fitted
	return a, r, nil
}

// fingerprint identifies a fit by its settings and all that it may learn from.
func (p Params) fingerprint(d Dataset) (string, error) {
	h := sha256.New()
	if p.WarmStart && p.Earlier != nil {
		b, err := model.Encode(p.Earlier)
		if err != nil {
			return "", err
		}
		h.Write(b)
	}
	fmt.Fprintf(h, "fluxora fit 1 %q ", p.Spec.String())
	p.Spec, p.Checkpoint, p.Earlier, p.Threads = feature.Spec{}, nil, nil, 0
	fmt.Fprintf(h, "%+v\n", p)
	for _, pt := range d.Points {
		s := pt.History
		fmt.Fprintf(h, "%q %s %d %s %s %+v\n", pt.ID, pt.Register, s.Start, s.Resolution, s.Zone, pt.Loaded)
		hashFloats(h, s.Energy)
		if site := s.Site; site != nil {
			fmt.Fprintf(h, "%q %v %t %v\n", site.Country, site.Vacations, site.Vacations == nil, site.Facts)
			if w := site.Weather; w != nil {
				fmt.Fprintf(h, "weather %t %d %d %d\n", w.Perfect, w.Observed.Start, w.Observed.Resolution, len(w.Forecasts))
				hashFloats(h, w.Observed.Temperature)
				hashFloats(h, w.Observed.Radiation)
				for _, f := range w.Forecasts {
					fmt.Fprintf(h, "forecast %d %d %d\n", f.Issued, f.Start, f.Resolution)
					hashFloats(h, f.Temperature)
					hashFloats(h, f.Radiation)
				}
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// hashFloats hashes numbers and how many there are.
func hashFloats(h hash.Hash, vs []float64) {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8<<10), uint64(len(vs)))
	for _, v := range vs {
		if len(b) == cap(b) {
			h.Write(b)
			b = b[:0]
		}
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	h.Write(b)
}
