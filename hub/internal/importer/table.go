package importer

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Table is what a file says.
type Table struct {
	Digest     [sha256.Size]byte // of the uncompressed bytes
	Resolution time.Duration
	Meters     []Meter // by name
	Rows       int
	Missing    int // rows without a value
	Unusable   []Unusable
}

// Unusable is a row whose value is a number that no interval can have.
type Unusable struct {
	Line int
	Text string // the value, as written
}

// Meter is the rows of one meter that have a value, in time order.
type Meter struct {
	Name string
	Rows []Row
}

// Row is one interval.
type Row struct {
	Start  meter.Millis
	Energy int64 // mWh
}

// units are the columns that hold what was used, with the power of ten that brings them to mWh or mW.
var units = map[string]int{"kwh": 6, "wh": 3, "power_w": 3}

// ReadTable reads a table, gzipped or not. An error names the line and what would be right.
func ReadTable(r io.Reader) (*Table, error) { return read(r, false) }

// ReadRecording reads a table as ReadTable does, but takes a value that is a number and none an interval can have (negative, not finite,
// over 1e9) as missing and lists it in Unusable: one of them should not cost the whole recording.
func ReadRecording(r io.Reader) (*Table, error) { return read(r, true) }

func read(r io.Reader, lenient bool) (*Table, error) {
	t, err := readTable(r, lenient)
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	return t, nil
}

func readTable(r io.Reader, lenient bool) (*Table, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if magic, err := b.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, err
		}
		b = bufio.NewReaderSize(z, 1<<16)
	}
	digest := sha256.New()
	in := csv.NewReader(io.TeeReader(b, digest))
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w: want meter_id,timestamp,kwh", err)
	}
	c, err := findColumns(head)
	if err != nil {
		return nil, err
	}

	t := &Table{}
	by := map[string]*Meter{}
	starts := map[string][]meter.Millis{} // of all rows, for the resolution
	for {
		rec, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err // names the line
		}
		line, _ := in.FieldPos(0)
		m := by[rec[c.meter]]
		if m == nil {
			m = &Meter{Name: strings.Clone(rec[c.meter])}
			if err := meter.CheckName("meter_id", m.Name); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			by[m.Name] = m
		}
		at, err := time.Parse(time.RFC3339, rec[c.at])
		if err != nil {
			return nil, fmt.Errorf("line %d: timestamp %q: want RFC 3339 as 2024-01-31T13:00:00Z", line, rec[c.at])
		}
		if at.Year() < 1971 || at.Year() > 2199 {
			return nil, fmt.Errorf("line %d: timestamp %q: want the years 1971 to 2199", line, rec[c.at])
		}
		t.Rows++
		starts[m.Name] = append(starts[m.Name], meter.MillisOf(at))
		if rec[c.value] == "" {
			t.Missing++
			continue
		}
		v, err := topic.ParseDecimal([]byte(rec[c.value]), c.exp)
		if err != nil || v < 0 || v > 1_000_000_000_000_000 {
			if _, not := strconv.ParseFloat(rec[c.value], 64); lenient && (not == nil || errors.Is(not, strconv.ErrRange)) {
				t.Missing++
				t.Unusable = append(t.Unusable, Unusable{line, strings.Clone(rec[c.value])})
				continue
			}
			return nil, fmt.Errorf("line %d: %s %q: want a number from 0 to 1e9, or nothing", line, c.unit, rec[c.value])
		}
		m.Rows = append(m.Rows, Row{meter.MillisOf(at), v})
	}
	if t.Rows == 0 {
		return nil, errors.New("no rows behind the header")
	}
	if t.Resolution, err = resolution(starts); err != nil {
		return nil, err
	}
	for _, m := range by {
		slices.SortStableFunc(m.Rows, func(a, b Row) int { return cmp.Compare(a.Start, b.Start) })
		if c.unit == "power_w" {
			for i := range m.Rows { // mean mW over the interval to mWh, rounded
				m.Rows[i].Energy = (m.Rows[i].Energy*t.Resolution.Milliseconds() + 1_800_000) / 3_600_000
			}
		}
		t.Meters = append(t.Meters, *m)
	}
	slices.SortFunc(t.Meters, func(a, b Meter) int { return strings.Compare(a.Name, b.Name) })
	digest.Sum(t.Digest[:0])
	return t, nil
}

// columns are where a table has what.
type columns struct {
	meter, at, value int
	unit             string
	exp              int
}

func findColumns(head []string) (columns, error) {
	c := columns{meter: -1, at: -1, value: -1}
	for i, name := range head {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		switch exp, ok := units[name]; {
		case name == "meter_id":
			c.meter = i
		case name == "timestamp":
			c.at = i
		case ok && c.value < 0:
			c.value, c.unit, c.exp = i, name, exp
		}
	}
	if c.meter < 0 || c.at < 0 || c.value < 0 {
		return c, fmt.Errorf("line 1: header %q: want the columns meter_id, timestamp and one of kwh, wh, power_w", strings.Join(head, ","))
	}
	return c, nil
}

// resolution returns the shortest distance of two rows of a meter.
func resolution(starts map[string][]meter.Millis) (time.Duration, error) {
	shortest := meter.Millis(0)
	for _, s := range starts {
		slices.Sort(s)
		for i := 1; i < len(s); i++ {
			if d := s[i] - s[i-1]; d > 0 && (shortest == 0 || d < shortest) {
				shortest = d
			}
		}
	}
	if shortest == 0 {
		return 0, errors.New("no meter has rows at two instants: want two at least, whose distance is the resolution")
	}
	r := time.Duration(shortest) * time.Millisecond
	if err := (interval.Options{Resolution: r}).Check(); err != nil {
		return 0, fmt.Errorf("distance of rows: %w", err)
	}
	return r, nil
}
