package store

import (
	"context"

	"github.com/google/uuid"
)

// SiteCount returns how many sites an organisation has.
func (s *Store) SiteCount(ctx context.Context, org uuid.UUID) (n int, err error) {
	err = s.db.QueryRow(ctx, `select count(*)::int from site where org_id = $1`, org).Scan(&n)
	return n, notFound(err, "count sites")
}

// SiteAt returns the name of the nth site by name, from 1 on, or ErrNotFound.
func (s *Store) SiteAt(ctx context.Context, org uuid.UUID, n int) (name string, err error) {
	err = s.db.QueryRow(ctx, `select name from site where org_id = $1 order by name offset $2 - 1 limit 1`, org, n).Scan(&name)
	return name, notFound(err, "read site")
}

// PointCount returns how many points an organisation has, or one of its sites when it is named.
func (s *Store) PointCount(ctx context.Context, org uuid.UUID, site string) (n int, err error) {
	err = s.db.QueryRow(ctx, `select count(*)::int from point p join site s using (org_id, site_id) where org_id = $1 and ($2 = '' or s.name = $2)`, org, site).Scan(&n)
	return n, notFound(err, "count points")
}

// PointAt returns the site and name of the nth point by site and name, from 1 on, or ErrNotFound.
func (s *Store) PointAt(ctx context.Context, org uuid.UUID, site string, n int) (at, name string, err error) {
	err = s.db.QueryRow(ctx, `select s.name, p.name from point p join site s using (org_id, site_id)
		where org_id = $1 and ($2 = '' or s.name = $2) order by s.name, p.name offset $3 - 1 limit 1`, org, site, n).Scan(&at, &name)
	return at, name, notFound(err, "read point")
}
