package api

import (
	"encoding/base64"
	"encoding/json"

	"fluxora.dev/shared/meter"
)

// Page asks for a part of a list.
type Page struct {
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many at most"`
	Cursor string `query:"cursor" maxLength:"400" doc:"the member next of the page before; empty for the first page"`
}

// List asks for a part of a list of which any part can be asked for.
type List struct {
	Page
	Offset int  `query:"offset" minimum:"0" maximum:"1000000" doc:"skip so many; what changes meanwhile shifts the pages, which cursors do not suffer from"`
	Total  bool `query:"total" doc:"also count all there are"`
}

// start returns the number of the row after which the page starts, 0 for the first page and when a cursor says it.
func (l List) start() (int, error) {
	if l.Offset > 0 && l.Cursor != "" {
		return 0, invalid("offset", l.Offset, "a cursor knows where its page starts: want either")
	}
	return l.Offset, nil
}

// encodeCursor packs where the next page starts. Callers must not look into it.
func encodeCursor(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // cursors are plain structs and strings
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// decodeCursor unpacks a cursor into v and leaves v alone when there is none.
func decodeCursor(cursor string, v any) error {
	if cursor == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return notOurs(cursor)
	}
	return nil
}

// checkNames refuses a cursor that was made by hand, of names that cannot be.
func checkNames(cursor string, names ...string) error {
	for _, n := range names {
		if cursor != "" && meter.CheckName("name", n) != nil {
			return notOurs(cursor)
		}
	}
	return nil
}

func notOurs(cursor string) error {
	return invalid("cursor", cursor, "is no cursor of this list: want the member next of the page before, unchanged")
}

// cut shortens a list that was asked for with one row more than the page holds, and says whether there is a next page.
func cut[T any](rows []T, limit int) ([]T, bool) {
	if len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}
