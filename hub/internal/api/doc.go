// Package api serves the hub's REST interface: what is measured, forecast and trained, and how the fleet does.
//
// It must not know SQL (package store), how forecasts are made or how models are chosen; it turns rows into
// documented JSON. The OpenAPI document is generated from these types, and docs/openapi.json is a copy that a test compares.
//
// Invariants:
//   - A route cannot be registered without what it needs of its caller (package access), and the gate asks it: nothing but /healthz,
//     /readyz, /openapi.json and /docs answers without a credential (and /metrics when configured so); a path that
//     does not exist answers a stranger like one that does.
//   - A caller belongs to one organisation, and every query names it: rows of another do not exist for the caller (404, not 403).
//   - Every list is bounded and paged by a cursor, those of sites and points also by an offset; every request has a time limit and a bounded body.
//   - Errors are problem details (RFC 9457). A database that is gone is 503 with Retry-After, never an empty list.
package api
