package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/importer"
	"fluxora.dev/shared/meter"
)

// Imported says what an import did.
type Imported struct {
	Points     int           `json:"points"`
	Readings   int           `json:"readings"` // committed now or by an earlier import of the same file
	Resolution time.Duration `json:"resolution_ns"`
}

// Import reads a table of interval energies from a CSV or CSV.gz file and commits it to a site, which is made when there is none
// of that name. Importing the same file again adds nothing. It returns when intervals are computed too.
func (a *Admin) Import(ctx context.Context, path string, site SiteSettings, register string, progress func(points, of, readings int)) (Imported, error) {
	reg, err := meter.LookupRegister(register)
	if err != nil {
		return Imported{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return Imported{}, err
	}
	defer f.Close()
	t, err := importer.ReadTable(f)
	if err != nil {
		return Imported{}, fmt.Errorf("%s: %w", path, err)
	}
	if site.Resolution == 0 {
		site.Resolution = max(t.Resolution, 5*time.Minute)
	}
	if _, err := a.EnsureSite(ctx, site); err != nil {
		return Imported{}, err
	}
	to, err := a.b.store.SiteByName(ctx, a.b.org, site.Name)
	if err != nil {
		return Imported{}, err
	}
	rep, err := importer.Import(ctx, a.b.store, a.b.org, to, t, importer.Options{Register: reg.Name, Progress: progress})
	if err != nil {
		return Imported{}, err
	}
	out := Imported{Points: rep.Points, Readings: rep.Readings, Resolution: t.Resolution}
	return out, derive.New(a.b.store, derive.Options{Log: a.b.o.Log}).Drain(ctx)
}
