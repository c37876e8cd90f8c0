package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// eachRow calls row for every row of a CSV file, which may be gzipped, with the values of the columns asked for. Those of
// optional columns that are not there are empty. Errors name the file and the line.
func eachRow(path string, columns, optional []string, row func(values []string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = bufio.NewReaderSize(f, 1<<16)
	if magic, _ := in.(*bufio.Reader).Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(in); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	r := csv.NewReader(in)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", path, err)
	}
	all := slices.Concat(columns, optional)
	at := make([]int, len(all))
	for i, name := range all {
		if at[i] = slices.IndexFunc(head, func(h string) bool { return strings.TrimPrefix(strings.TrimSpace(h), "\ufeff") == name }); at[i] < 0 && i < len(columns) {
			return fmt.Errorf("%s: header %q: want columns %s", path, head, strings.Join(columns, ", "))
		}
	}
	values := make([]string, len(all))
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for i, c := range at {
			if values[i] = ""; c >= 0 {
				values[i] = strings.TrimSpace(rec[c])
			}
		}
		if err := row(values); err != nil {
			line, _ := r.FieldPos(0)
			return fmt.Errorf("%s: line %d: %w", path, line, err)
		}
	}
}
