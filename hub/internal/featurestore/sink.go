package featurestore

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"fluxora.dev/shared/feature"
)

// head lists the columns before the features.
var head = []string{"site", "point", "register", "origin", "step", "start", "scale_wh", "actual_wh"}

// Sink takes rows one after another. Close must be called; rows are complete only when it returns nil.
type Sink interface {
	Write(r Row) error
	Close() error
}

// File returns a sink that writes a file, whole or not at all, in the format of its ending: .csv, .ndjson or .parquet. What is
// not known is empty in CSV and null in the others. Discard ends it without a file.
func File(path string, spec feature.Spec) (*FileSink, error) {
	form := map[string]func(io.Writer, feature.Spec) (Sink, error){".csv": newCSV, ".ndjson": newNDJSON, ".parquet": newParquet}[filepath.Ext(path)]
	if form == nil {
		return nil, fmt.Errorf("file %q: want an ending of .csv, .ndjson or .parquet", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	s := &FileSink{path: path, file: f, out: bufio.NewWriterSize(f, 1<<18)}
	if s.rows, err = form(s.out, spec); err != nil {
		return nil, errors.Join(err, s.Discard())
	}
	return s, nil
}

// FileSink writes rows to a file.
type FileSink struct {
	path string
	file *os.File
	out  *bufio.Writer
	rows Sink
}

// Write implements Sink.
func (s *FileSink) Write(r Row) error { return s.rows.Write(r) }

// Close completes the file and gives it its name.
func (s *FileSink) Close() error {
	err := errors.Join(s.rows.Close(), s.out.Flush(), s.file.Chmod(0o644), s.file.Sync())
	if err != nil {
		return errors.Join(err, s.Discard())
	}
	if err := s.file.Close(); err != nil {
		return errors.Join(err, os.Remove(s.file.Name()))
	}
	return os.Rename(s.file.Name(), s.path)
}

// Discard removes what was written.
func (s *FileSink) Discard() error {
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// csvSink writes comma-separated values.
type csvSink struct {
	w      *csv.Writer
	record []string
}

func newCSV(w io.Writer, spec feature.Spec) (Sink, error) {
	s := &csvSink{w: csv.NewWriter(w)}
	return s, s.w.Write(append(append([]string(nil), head...), spec.Names()...))
}

func (s *csvSink) Write(r Row) error {
	s.record = append(s.record[:0], r.Site, r.Point, string(r.Register), r.Origin.Format(time.RFC3339), strconv.Itoa(r.Step), r.Start.Format(time.RFC3339), number(r.Scale, 64), number(r.Actual, 64))
	for _, v := range r.Features {
		s.record = append(s.record, number(float64(v), 32))
	}
	return s.w.Write(s.record)
}

func (s *csvSink) Close() error { s.w.Flush(); return s.w.Error() }

// number returns v with as many digits as its bits need, and nothing for NaN.
func number(v float64, bits int) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}

// ndjsonSink writes an object a line.
type ndjsonSink struct {
	w    io.Writer
	keys [][]byte // of the features, as `,"day 1":`
	line []byte
}

func newNDJSON(w io.Writer, spec feature.Spec) (Sink, error) {
	s := &ndjsonSink{w: w}
	for _, n := range spec.Names() {
		key, err := json.Marshal(n)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, append(append([]byte{','}, key...), ':'))
	}
	return s, nil
}

func (s *ndjsonSink) Write(r Row) error {
	front, err := json.Marshal(struct {
		Site     string    `json:"site"`
		Point    string    `json:"point"`
		Register string    `json:"register"`
		Origin   time.Time `json:"origin"`
		Step     int       `json:"step"`
		Start    time.Time `json:"start"`
		Scale    float64   `json:"scale_wh"`
	}{r.Site, r.Point, string(r.Register), r.Origin, r.Step, r.Start, r.Scale})
	if err != nil {
		return err
	}
	s.line = append(s.line[:0], front[:len(front)-1]...)
	s.line = appendNumber(append(s.line, `,"actual_wh":`...), r.Actual, 64)
	for i, v := range r.Features {
		s.line = appendNumber(append(s.line, s.keys[i]...), float64(v), 32)
	}
	_, err = s.w.Write(append(s.line, '}', '\n'))
	return err
}

func appendNumber(b []byte, v float64, bits int) []byte {
	if math.IsNaN(v) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

func (s *ndjsonSink) Close() error { return nil }
