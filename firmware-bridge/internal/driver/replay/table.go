package replay

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Selection says which meters of a recording are played. The zero value is all of them.
type Selection struct {
	Names      []string // these, in the order of the recording; empty: all
	Categories []string // of these categories; empty: all
	Offset     int      // leave out the first so many of what is left
	Count      int      // at most so many; 0: all
}

// maxIntervals bounds what one meter can take of memory: a year at a minute, a century at an hour.
const maxIntervals = 1_000_000

// ReadTable reads the chosen meters of a recording. Category may be nil when the selection names none. A resolution of 0
// means the smallest step of each meter. Errors name file and line.
func ReadTable(path string, sel Selection, category map[string]string, register meter.Register, resolution time.Duration) ([]*Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	defer f.Close()
	r, err := plain(bufio.NewReaderSize(f, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", path, err)
	}
	t := table{path: path, sel: sel, category: category, rows: map[string]*rows{}}
	if err := t.read(r); err != nil {
		return nil, err
	}
	return t.series(register, resolution)
}

// plain takes gzip off r when it begins with its magic number.
func plain(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(head) == "\x1f\x8b" {
		return gzip.NewReader(r)
	}
	return r, nil
}

// table is a recording while it is read.
type table struct {
	path     string
	sel      Selection
	category map[string]string
	rows     map[string]*rows
	order    []*rows // those that are played
	matching int     // meters so far that names and categories allow
}

// rows is the rows of one meter. Those of a meter that is not played are checked and forgotten.
type rows struct {
	name   string
	played bool
	last   meter.Millis
	any    bool
	starts []meter.Millis
	values []int64 // mWh or mW; -1 missing
	power  bool
	line   int
}

func (t *table) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", t.path, line, fmt.Sprintf(format, args...))
}

// columns is where the columns stand.
type columns struct {
	meter, time, value int
	power              bool
}

func (t *table) header(head []string) (columns, error) {
	c := columns{-1, -1, -1, false}
	for i, name := range head {
		switch strings.TrimPrefix(strings.TrimSpace(name), "\ufeff") {
		case "meter_id":
			c.meter = i
		case "timestamp":
			c.time = i
		case "kwh":
			c.value = i
		case "power_w":
			c.value, c.power = i, true
		}
	}
	if c.meter < 0 || c.time < 0 || c.value < 0 {
		return c, t.errorf(1, "the header is %q: want the columns meter_id, timestamp and kwh (or power_w)", strings.Join(head, ","))
	}
	return c, nil
}

func (t *table) read(r io.Reader) error {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if errors.Is(err, io.EOF) {
		return t.errorf(1, "the file is empty: want a header and rows")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	c, err := t.header(head)
	if err != nil {
		return err
	}
	width := len(head)
	for {
		rec, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) && errors.Is(err, csv.ErrFieldCount) {
			return t.errorf(bad.Line, "%d columns: want %d as in the header", len(rec), width)
		}
		if errors.As(err, &bad) {
			return t.errorf(bad.Line, "%v", bad.Err)
		}
		if err != nil {
			return fmt.Errorf("read recording %s: %w", t.path, err)
		}
		line, _ := in.FieldPos(0)
		if err := t.row(line, rec[c.meter], rec[c.time], rec[c.value], c.power); err != nil {
			return err
		}
	}
}

func (t *table) row(line int, name, start, value string, power bool) error {
	m, ok := t.rows[name]
	if !ok {
		if err := meter.CheckName("meter_id", name); err != nil {
			return t.errorf(line, "%v", err)
		}
		m = &rows{name: strings.Clone(name), power: power, line: line}
		m.played = t.plays(m.name)
		t.rows[m.name] = m
		if m.played {
			t.order = append(t.order, m)
		}
	}
	at, err := time.Parse(time.RFC3339, start)
	if err != nil {
		if at, err = time.Parse("2006-01-02 15:04:05Z07:00", start); err != nil {
			return t.errorf(line, "timestamp %q: want RFC 3339 with a zone, as 2019-01-01T00:00:00Z", start)
		}
	}
	when := meter.MillisOf(at)
	if m.any && when == m.last {
		return t.errorf(line, "meter %s has a second row for %s: want one", name, start)
	}
	if m.any && when < m.last {
		return t.errorf(line, "meter %s: %s stands after %s: want the rows of a meter in time order", name, start, m.last)
	}
	m.last, m.any = when, true
	energy := int64(-1)
	if value = strings.TrimSpace(value); value != "" {
		exp := 6
		if power {
			exp = 3
		}
		if energy, err = topic.ParseDecimal([]byte(value), exp); err != nil {
			return t.errorf(line, "meter %s: %v", name, err)
		}
		if energy < 0 || energy > 1e13 {
			return t.errorf(line, "meter %s: %s: want 0 to 10,000,000, or nothing where the reading is missing", name, value)
		}
	}
	if m.played {
		m.starts, m.values = append(m.starts, when), append(m.values, energy)
	}
	return nil
}

// plays decides about a meter that appears for the first time.
func (t *table) plays(name string) bool {
	if len(t.sel.Names) > 0 && !slices.Contains(t.sel.Names, name) || len(t.sel.Categories) > 0 && !slices.Contains(t.sel.Categories, t.category[name]) {
		return false
	}
	t.matching++
	return t.matching > t.sel.Offset && (t.sel.Count == 0 || t.matching <= t.sel.Offset+t.sel.Count)
}

func (t *table) series(register meter.Register, resolution time.Duration) ([]*Series, error) {
	for _, n := range t.sel.Names {
		if t.rows[n] == nil {
			return nil, fmt.Errorf("%s has no meter %q: --list names those it has", t.path, n)
		}
	}
	if len(t.order) == 0 {
		return nil, fmt.Errorf("%s: none of its %d meters is chosen (%d match names and categories, offset %d)", t.path, len(t.rows), t.matching, t.sel.Offset)
	}
	var out []*Series
	for _, m := range t.order {
		s, err := t.lay(m, register, resolution)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		m.starts, m.values = nil, nil
	}
	return out, nil
}

// lay puts the rows of a meter on its grid.
func (t *table) lay(m *rows, register meter.Register, resolution time.Duration) (*Series, error) {
	step := meter.Millis(resolution.Milliseconds())
	if step == 0 {
		step = meter.Millis(time.Hour.Milliseconds())
		for i := 1; i < len(m.starts); i++ {
			if d := m.starts[i] - m.starts[i-1]; i == 1 || d < step {
				step = d
			}
		}
	}
	if d := time.Duration(step) * time.Millisecond; d < time.Minute || d > 24*time.Hour {
		return nil, t.errorf(m.line, "meter %s: its rows are %s apart: want one minute to one day", m.name, d)
	}
	first, last := m.starts[0], m.starts[len(m.starts)-1]
	n := (last-first)/step + 1
	if n > maxIntervals {
		return nil, t.errorf(m.line, "meter %s: %d intervals from %s to %s: want at most %d", m.name, n, first, last, maxIntervals)
	}
	energies := make([]int64, n)
	for i := range energies {
		energies[i] = -1
	}
	for i, at := range m.starts {
		if (at-first)%step != 0 {
			return nil, t.errorf(m.line, "meter %s: its row for %s is not on the grid of %s from %s", m.name, at, time.Duration(step)*time.Millisecond, first)
		}
		e := m.values[i]
		if m.power && e > 0 {
			e = mulDiv(e, int64(step), time.Hour.Milliseconds())
		}
		energies[(at-first)/step] = e
	}
	s := newSeries(m.name, register, first, time.Duration(step)*time.Millisecond, energies)
	s.Category = t.category[m.name]
	return s, nil
}

// ReadCategories reads the columns meter_id and category of a table of meters.
func ReadCategories(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read meters: %w", err)
	}
	defer f.Close()
	all, err := csv.NewReader(bufio.NewReader(f)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read meters %s: %w", path, err)
	}
	out := map[string]string{}
	if len(all) == 0 {
		return out, nil
	}
	id, cat := slices.Index(all[0], "meter_id"), slices.Index(all[0], "category")
	if id < 0 {
		return nil, fmt.Errorf("%s:1: the header is %q: want a column meter_id", path, strings.Join(all[0], ","))
	}
	for _, rec := range all[1:] {
		out[rec[id]] = ""
		if cat >= 0 {
			out[rec[id]] = rec[cat]
		}
	}
	return out, nil
}
