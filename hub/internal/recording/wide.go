package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// Series is a row of a wide table: the values of one anonymous series, in order.
type Series struct {
	ID     string
	Values []float64
}

// ReadWide reads a table of the M4 competition, gzipped or not: a header, then a series a row, its id first; rows may end
// early. An error names the file, the line and what would be right.
func ReadWide(path string) ([]Series, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out, err := readWide(bufio.NewReaderSize(file, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

func readWide(b *bufio.Reader) ([]Series, error) {
	if magic, err := b.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, err
		}
		b = bufio.NewReaderSize(z, 1<<16)
	}
	in := csv.NewReader(b)
	in.FieldsPerRecord, in.ReuseRecord = -1, true
	if _, err := in.Read(); err != nil {
		return nil, fmt.Errorf("header: %w: want V1,V2,…", err)
	}
	var out []Series
	seen := map[string]bool{}
	for {
		rec, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		s := Series{ID: strings.Clone(rec[0])}
		if s.ID == "" || seen[s.ID] {
			return nil, fmt.Errorf("line %d: id %q: want one that no other row has", line, s.ID)
		}
		seen[s.ID] = true
		last := len(rec)
		for last > 1 && blank(rec[last-1]) {
			last--
		}
		for i, field := range rec[1:last] {
			if blank(field) {
				return nil, fmt.Errorf("line %d: series %s has no value %d of %d: want blanks at the end only", line, s.ID, i+1, last-1)
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v > 1e12 {
				return nil, fmt.Errorf("line %d: series %s, value %d is %.20q: want a number from 0 to 1e12", line, s.ID, i+1, field)
			}
			s.Values = append(s.Values, v)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no series behind the header")
	}
	return out, nil
}

// blank reports whether a field holds no value.
func blank(field string) bool {
	f := strings.TrimSpace(field)
	return f == "" || f == "NA" || f == "NaN"
}
