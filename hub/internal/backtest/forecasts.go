package backtest

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// ForecastFile is a table of every forecast of a protocol beside what then happened, for people to look into: a row for each
// meter, model, origin and interval, in kWh. A value that is missing in the recording is empty. The rows of a meter lie together;
// meters come in the order in which they were scored.
type ForecastFile struct {
	path   string
	levels []float64
	file   *os.File
	packed *gzip.Writer // nil: not packed
	rows   *csv.Writer
	mu     sync.Mutex
}

// NewForecastFile begins a file at path, gzipped when the path ends so. It takes the place of path when it is closed.
func NewForecastFile(path string, levels []float64) (*ForecastFile, error) {
	if !strings.HasSuffix(path, ".csv") && !strings.HasSuffix(path, ".csv.gz") {
		return nil, fmt.Errorf("forecasts to %s: want a name that ends in .csv or .csv.gz", path)
	}
	file, err := os.Create(path + ".part")
	if err != nil {
		return nil, err
	}
	f := &ForecastFile{path: path, levels: levels, file: file}
	var w io.Writer = file
	if strings.HasSuffix(path, ".gz") {
		f.packed = gzip.NewWriter(file)
		w = f.packed
	}
	f.rows = csv.NewWriter(w)
	head := []string{"meter_id", "model", "origin", "timestamp", "kwh"}
	for _, l := range levels {
		head = append(head, fmt.Sprintf("kwh_%g", l))
	}
	return f, f.rows.Write(head)
}

// add writes the forecasts of one meter: those of all contenders from one origin after another.
func (f *ForecastFile) add(w Window, names []string, made []forecast.Forecast) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := func(t meter.Millis) string { return t.Time().Format(time.RFC3339) }
	kwh := func(wh float64) string {
		if wh != wh {
			return ""
		}
		return strconv.FormatFloat(wh/1000, 'g', 7, 64)
	}
	row := make([]string, 5+len(f.levels))
	for i, m := range made {
		row[0], row[1], row[2] = w.Point.ID, names[i%len(names)], at(m.Origin)
		for step := 1; step <= m.Steps(); step++ {
			row[3], row[4] = at(m.Start(step)), kwh(w.Point.History.At(m.Start(step)))
			for l := range f.levels {
				row[5+l] = kwh(m.At(step, l))
			}
			if err := f.rows.Write(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the file: whole when all went well, else not at all.
func (f *ForecastFile) Close(whole bool) error {
	f.rows.Flush()
	err := f.rows.Error()
	if f.packed != nil {
		err = errors.Join(err, f.packed.Close())
	}
	if err = errors.Join(err, f.file.Close()); err == nil && whole {
		return os.Rename(f.path+".part", f.path)
	}
	return errors.Join(err, os.Remove(f.path+".part"))
}
